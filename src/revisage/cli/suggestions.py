"""Suggestions for a command or option that does not exist: by meaning first, then by spelling."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from revisage.errors import did_you_mean

OPTIONS = {
    **dict.fromkeys(("silent", "noprogress"), "--quiet"),
    **dict.fromkeys(("debug", "info", "verbosity"), "--verbose"),
    **dict.fromkeys(("log", "logging", "logfilename"), "--log-file"),
    **dict.fromkeys(("weight", "fidelity", "visibility", "blend", "amount", "w"), "--strength"),
    **dict.fromkeys(("upscale", "outscale", "upsample", "factor", "resize", "size"), "--scale"),
    **dict.fromkeys(("out", "outdir", "outputdir", "outputfolder", "result", "results", "dest", "to"), "--output"),
    **dict.fromkeys(("force", "replace", "yes", "clobber"), "--overwrite"),
    **dict.fromkeys(("gpu", "cuda", "cpu", "provider", "gpuid"), "--device"),
    **dict.fromkeys(("half", "fp16", "bf16", "precision", "fp32"), "--dtype"),
    **dict.fromkeys(("jobs", "cores", "numthreads"), "--threads"),
    **dict.fromkeys(("version", "arch", "network", "weights", "modelpath", "modelname", "checkpoint"), "--model"),
    **dict.fromkeys(("ext", "extension", "outputformat"), "--format"),
    **dict.fromkeys(("bgupsampler", "bgupscaler", "upscaler", "backgroundupscaler"), "--background"),
    **dict.fromkeys(("bgtile", "tilesize"), "--tile"),
    **dict.fromkeys(("face", "index", "faceindex", "number", "which", "select"), "--faces"),
    **dict.fromkeys(("sort", "sortby"), "--order"),
    **dict.fromkeys(("box", "within", "region", "crop"), "--roi"),
    **dict.fromkeys(("like", "person", "who"), "--reference"),
    **dict.fromkeys(("likeness", "minlikeness", "similarity"), "--min-similarity"),
    **dict.fromkeys(("minface", "minsize", "eyedistthreshold"), "--min-face-size"),
    **dict.fromkeys(("maxface", "maxsize"), "--max-face-size"),
    **dict.fromkeys(("threshold", "confidence", "conf", "score"), "--min-score"),
    **dict.fromkeys(("detmodel", "detectionmodel", "facedetector"), "--detector"),
    **dict.fromkeys(("hasaligned", "cropped"), "--aligned"),
    **dict.fromkeys(("keeptime", "keepmtime", "preservetime"), "--preserve-mtime"),
    **dict.fromkeys(("nojournal", "nostore", "norestart"), "--no-resume"),
    **dict.fromkeys(("visualize", "show", "annotate", "plot"), "--draw"),
    **dict.fromkeys(("nodownload", "nonetwork"), "--offline"),
    "grain": "--keep-grain",
    **dict.fromkeys(("check", "simulate"), "--dry-run"),
    **dict.fromkeys(("failonloss", "lossless"), "--strict"),
}
"""Options of other tools, and former ones of this, without punctuation -> options here."""
COMMANDS = {
    **dict.fromkeys(("enhance", "upscale", "fix", "run", "infer", "inference", "predict", "video", "image"), "restore"),
    **dict.fromkeys(("faces", "find", "listfaces", "landmarks"), "detect"),
    **dict.fromkeys(("list", "ls", "zoo"), "models"),
    **dict.fromkeys(("download", "pull", "install", "get"), "fetch"),
    **dict.fromkeys(("info", "version", "check", "diagnose", "env"), "doctor"),
    **dict.fromkeys(("progress", "resume", "jobs"), "status"),
    **dict.fromkeys(("finetune", "fit"), "train"),
    **dict.fromkeys(("test", "score", "metrics", "eval", "measure"), "evaluate"),
    **dict.fromkeys(("benchmark", "speed", "profile", "timing"), "bench"),
    **dict.fromkeys(("align", "crop", "dataset"), "prepare"),
    **dict.fromkeys(("corrupt", "synthesize"), "degrade"),
    "onnx": "export",
}
"""Words for commands elsewhere -> commands here."""


class Command(TyperCommand):
    """A command that suggests by meaning what to write instead of an unknown option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if details := getattr(error.__cause__, "errors", None):
                _name_value(error, details()[0]["input"])
            if hasattr(error, "possibilities"):
                known = [name for parameter in self.params for name in parameter.opts if name.startswith("--")]
                _suggest(error, error.option_name, known, OPTIONS)  # pyright: ignore[reportAttributeAccessIssue]
            raise


class Group(TyperGroup):
    """The program: it suggests by meaning what to write instead of an unknown command."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command."""
        name = args[0]
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            if name not in self.commands and not name.startswith("-"):
                error.message = f"No such command '{name}'"  # pyright: ignore[reportAttributeAccessIssue]
                _suggest(error, name, list(self.commands), COMMANDS)
            raise


def _name_value(error: Any, given: object) -> None:
    """Add the value that was given, which pydantic leaves out: typer 0.26 and newer check values by it."""
    said = error.message.removeprefix("Input ").partition(", unable to parse")[0]
    error.message = f"{said}, not {given}"


def _suggest(error: Any, name: str, known: list[str], meant: dict[str, str]) -> None:
    """Put a suggestion into an error of the command line's parser, in place of the parser's own."""
    error.possibilities = None
    error.message += did_you_mean(name, known, {word: here for word, here in meant.items() if here in known})
