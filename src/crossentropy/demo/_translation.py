"""What the demonstration says, in the language that is asked for. The acts are written in English."""

from crossentropy._languages import PhraseBook
from crossentropy.demo import _chinese

say = PhraseBook(_chinese.PHRASES).say
"""An English sentence of the demonstration in a language."""
