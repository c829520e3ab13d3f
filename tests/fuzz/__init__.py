"""Random calls of the whole library, judged by an oracle of its own: ``python -m fuzz --calls 100000 --seed 7``.

A case is a small program: statements that make an object, and one call. Which it is depends on the seed and its number
alone, so that each can be repeated by itself, also one that ended its process. What the object holds is read by its own
framework's calls, before and after, and so is the result: nothing here reads by way of the library.

``programs`` has what a case is: a source (``sources_of_numpy``, ``sources_of_torch``, ``other_sources``, ``guests``)
and a call (``calls``). ``reading`` is the oracle; ``laws``, ``other_laws`` and ``casts`` say what has to hold;
``running`` runs cases; ``watching`` runs them in a process of its own and survives it; ``known`` has what is known to
break.
"""
