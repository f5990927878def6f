"""The demonstration: from −log p to a trained language model, on real data, in three acts.

    chain      the quantities and the steps of the loss, each number checked against torch
    digits     the same network trained with three losses, two of them the wrong ones
    language   a language model with a tied head, beside torch's loss on full logits

Each act computes a result and writes it as a `Section`; `report` turns sections into one HTML page, and the command
line into text. Needs the extra `crossentropy[demo]`.
"""
