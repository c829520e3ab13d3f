"""The measured matrix: every pair of frameworks, every element type and layout, by hand and through this library.

Data goes one way: :mod:`cells` says what is handed over, :mod:`hands` makes and reads it without this library,
:mod:`ways` lists the calls by hand and ours, :mod:`judge` says what one call did, :mod:`worker` does so in a process
of its own, :mod:`runner` runs many of those, and :mod:`results`, :mod:`verdict`, :mod:`report` and :mod:`pictures`
make of it what people read.
"""
