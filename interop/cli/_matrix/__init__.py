"""The measured matrix: every pair of frameworks, every element type and layout, by hand and through this library.

Data goes one way: :mod:`cells` says what is handed over, :mod:`hands` makes and reads it without this library,
:mod:`ways` lists the calls by hand and ours, :mod:`judge` says what one call did, :mod:`second` says so again of a
sample, without anything that :mod:`judge` uses, :mod:`worker` has both do so in a process of its own, :mod:`runner`
runs many of those, and :mod:`results`, :mod:`verdict`, :mod:`report` and :mod:`pictures` make of it what people read.
"""
