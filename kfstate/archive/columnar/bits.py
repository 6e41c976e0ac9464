"""What the fold looks at of an entry, beside times and servicers, is packed into one number: which bits are what."""

__all__ = [
    "AS_SHIFT",
    "CHANGE_BITS",
    "CHANGE_SHIFT",
    "CLICKED",
    "COUNTS_BITS",
    "COUNTS_SHIFT",
    "COUNTS_ZERO",
    "CUSTOMER",
    "KIND_SHIFT",
    "MENU_BITS",
    "MENU_SHIFT",
    "ODD",
    "PLAIN_FACTS",
    "RANK_BITS",
    "RANK_SHIFT",
    "REDECODES",
    "SAID_BITS",
    "SHAPE_FACTS",
    "SHAPE_FROM",
    "SHAPE_SIZE",
    "SHAPE_TARGET",
    "SHAPE_TO",
    "TRIGGER_BITS",
    "VOIDS",
    "WINDOW",
]

TRIGGER_BITS = 0xFF
"""The number of the trigger."""
RANK_SHIFT, RANK_BITS = 8, 7
"""Where the search inside a second looks for it."""
CUSTOMER = 1 << 11
"""It is folded as a customer's message."""
CLICKED = 1 << 12
WINDOW = 1 << 13
"""Its errcode says that the send window is used up or closed."""
VOIDS, REDECODES = 1 << 14, 1 << 15
"""It voids another entry, or is folded in its place."""
ODD = 1 << 16
"""The order inside a second cannot be told from these bits."""
MENU_SHIFT, CHANGE_SHIFT, KIND_SHIFT, AS_SHIFT = 18, 20, 24, 32
"""``menu_click``, ``change_type``, ``kind`` and ``as_kind`` as they follow each other in text; 0 is None."""
SAID_BITS, CHANGE_BITS, MENU_BITS = 0xFF, 15, 3
COUNTS_SHIFT, COUNTS_BITS, COUNTS_ZERO = 40, 0xFFFF, 1 << 15
"""``counts``, plus 32,768."""
PLAIN_FACTS = COUNTS_ZERO << COUNTS_SHIFT
"""An entry that says nothing but its trigger (0)."""

SHAPE_FACTS, SHAPE_FROM, SHAPE_TO, SHAPE_TARGET = range(4)
SHAPE_SIZE = 4
"""A shape as a row of numbers: these bits, both servicers, and the position that it speaks of."""
