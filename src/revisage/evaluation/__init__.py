"""How good a restorer is, measured on pairs of degraded and original faces: pairs -> rows of metrics -> a report."""
