"""Everything that makes views. Knows no Gradio."""
