"""Everything that knows Gradio or the browser."""

from ui.gradio_env import lighten_gradio

lighten_gradio()  # before anything here imports it
