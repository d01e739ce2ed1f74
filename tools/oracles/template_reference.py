"""The reference for chat templates: transformers' own Jinja environment on the five official templates."""
import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ["qwen3-hybrid", "qwen3-hybrid-2504", "qwen3-instruct-2507", "qwen3-thinking-2507", "qwen2.5-instruct"]


def shared():
    return pathlib.Path(os.environ.get("BANTAM_SHARED", ROOT.parent / "shared"))


def load_sources():
    """Name -> Jinja source; exits with a clear line when the shared data is absent."""
    folder = shared() / "data" / "qwen3-tokenizer" / "chat_templates"
    if not folder.is_dir():
        sys.exit(f"the official templates are not at {folder}; set BANTAM_SHARED")
    # newline="": the sources as their bytes are
    return {name: open(folder / f"{name}.jinja", encoding="utf-8", newline="").read() for name in NAMES}


class Reference:
    def __init__(self):
        from transformers.utils import chat_template_utils
        self.sources = load_sources()
        self.templates = {n: chat_template_utils._compile_jinja_template(s) for n, s in self.sources.items()}

    def render(self, line):
        """Text for one request line, or None where the reference raises."""
        request = json.loads(line)
        template = self.templates[request.pop("template")]
        request.setdefault("tools", None)
        request.setdefault("add_generation_prompt", False)
        try:
            text = template.render(**request)
            text.encode("utf-8")
        except Exception:
            return None
        return text
