"""aiconsole: a terminal console for the operators of AI inference on their own servers."""

__version__ = "0.1.0"
