"""The local flexibility market in the USEF Flex Trading Protocol (UFTP, Shapeshifter 3.1), in the role of the DSO.

``values`` are ours, ``reading`` and ``writing`` map them from and to the protocol's payloads, ``guard`` judges what
came in, ``wire`` signs and opens, ``memory`` keeps every conversation, ``desk`` puts them together, ``endpoint`` and
``sender`` are the two ends of the wire. Only ``reading``, ``writing`` and ``wire`` know the library.
"""
