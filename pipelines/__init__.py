"""Everything that makes views. Knows no Gradio."""

import os

# Read by the Hub's libraries when they are imported, which is later than this: nothing is told to anyone, and no
# stranger's service is asked to convert a file that we have (transformers does that behind one's back).
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")
