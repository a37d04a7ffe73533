"""Faces through the frames of a video or an animation: tracked, smoothed, restored, averaged over time."""
