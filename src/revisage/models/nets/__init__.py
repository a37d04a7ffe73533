"""Networks: torch only, no files, no other part of the project. One file is one network."""
