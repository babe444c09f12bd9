"""The catalog: what merchants sell, for how much, and how a newcomer who types without accents finds it.

Words   A product is one thing that a merchant sells, by a unit (a piece, a kilogram, a bunch), at a price; one that is sold
        out stays to be seen; one that its seller no longer offers is archived, never deleted.
        A price change is a dated event. A taken-down product is hidden by an officer, with a reason that its seller reads.
        A term is a word of a product's name, or two or three neighbours written as one.
"""
