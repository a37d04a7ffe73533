"""Where the tests find what the repository carries."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes"
EXAMPLES = ROOT / "examples"
GOLDEN = ROOT / "tests" / "golden"
PORTRAIT = ROOT / "tests" / "data" / "astronaut.jpg"
