"""Everything that knows Gradio or the browser."""
