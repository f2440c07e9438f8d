"""Predictive maintenance after Abdelli, Griesser and Pachnicke (arXiv 2211.02842): forecast, alarm, remaining life.

Of the paper the title page and abstract could be read, its equations and sizes could not: what is here follows its
three stages, and every size is ours.
"""
