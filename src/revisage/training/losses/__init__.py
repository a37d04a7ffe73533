"""Losses: pure functions of tensors, RGB in [-1, 1] unless said otherwise, a file for each idea.

A *distance* gives one number a sample, (N,); a *loss* or *penalty* gives a scalar to be weighted and minimized. Values
that half precision cannot hold are computed in float32, under autocast too.
"""
