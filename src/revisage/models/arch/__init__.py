"""What the files of each network look like, and which network a file's weights belong to."""
