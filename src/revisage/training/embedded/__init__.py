"""How the embedded detector and identity embedder are trained: scenes, views, tasks."""
