"""Tokenizers of the transformers library, which fill up rows of tokens; labels made of such rows hold padding.

A model that is given `labels` leaves out −100 and nothing else, so that padding is to be replaced by it.
"""

from __future__ import annotations

import re

from crossentropy.doctor._knowledge._facts import AS_TENSOR
from crossentropy.doctor._knowledge._loss_call import at
from crossentropy.doctor._source._indexing import as_tensor
from crossentropy.doctor._source._report import Report
from crossentropy.doctor._source._values import Call, Padding, Place, Sequence, SomePadding, Tensor, Unknown, Value

_PADDING = SomePadding()
_SETTINGS = ("truncation", "max_length", "return_tensors")
"""Arguments that calls of tokenizers have, and of little else."""
_REPLACES = re.compile(r"-\s*100\b|ignore_index|label_pad_token_id|DataCollatorForLanguageModeling")
"""How a program shows that it knows what is to be ignored."""


def fills_up(call: Call) -> bool:
    """Whether a call is one of a tokenizer that fills rows up: one row only to the greatest length there may be."""
    fills = call.kwargs.get("padding", call.kwargs.get("pad_to_max_length", False))
    text = call.get("text", 0)
    if fills in (True, "longest") and (isinstance(text, str) or (isinstance(text, list) and len(text) < 2)):
        return False
    return fills not in (False, None, "do_not_pad") and any(name in call.kwargs for name in _SETTINGS)


def encoding() -> Unknown:
    """What a tokenizer makes: its tokens are an item and an attribute."""
    made = Unknown()
    ids = made.members["input_ids"] = made.member(("input_ids",))
    ids.members[AS_TENSOR] = Tensor(kind="indices", dtype="long", source=Sequence(), fills=frozenset({_PADDING}))
    return made


def is_filled_up(value: Value) -> bool:
    """Whether a value holds tokens that a tokenizer has filled up."""
    return isinstance(value, (Unknown, Tensor)) and _PADDING in as_tensor(value).fills


def given_as_labels(report: Report, key: Value, value: Value, place: Place, program: str) -> None:
    """Something is stored under a name; as `labels` it goes into a model that computes its loss itself."""
    if key != "labels" or _REPLACES.search(program) is not None:
        return
    if is_filled_up(value):
        what, mend = "tokens that a tokenizer has filled up", "labels[labels == tokenizer.pad_token_id] = -100"
    elif isinstance(value, Tensor) and "input_ids" in program and (number := _padding_of(value)) is not None:
        what, mend = f"filled up with {number}{at(value)}", f"write -100 where it is {number} that is written"
    else:
        return
    report.add(
        "padding-not-ignored",
        place,
        f"these labels are {what}, and models that compute their loss ignore −100 only: padding counts in the mean — "
        f"{mend}",
        "likely",
        None if is_filled_up(value) else value.made,
    )


def _padding_of(labels: Tensor) -> int | None:
    return next((fill for fill in labels.fills if isinstance(fill, Padding) and fill >= 0), None)
