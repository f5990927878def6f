"""What the demonstration says, in the language that is asked for. The acts are written in English."""

import functools

from crossentropy._languages import Language, PhraseBook
from crossentropy.demo import _chinese


@functools.cache
def _book() -> PhraseBook:
    return PhraseBook(_chinese.PHRASES)


def say(text: str, lang: Language) -> str:
    """An English sentence of the demonstration in a language."""
    return text if lang == "en" else _book().say(text)
