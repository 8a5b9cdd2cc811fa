"""Everything that knows Gradio or the browser. To be imported before Gradio."""

from ui.gradio_env import lighten_gradio

lighten_gradio()
