"""Parameters of torch's losses, in order: known without importing torch, which takes a second. A test compares them."""

_SIGNATURES = {
    "torch.nn.functional": """
        binary_cross_entropy input target weight size_average reduce reduction
        binary_cross_entropy_with_logits input target weight size_average reduce reduction pos_weight
        cosine_embedding_loss input1 input2 target margin size_average reduce reduction
        cross_entropy input target weight size_average ignore_index reduce reduction label_smoothing
        hinge_embedding_loss input target margin size_average reduce reduction
        kl_div input target size_average reduce reduction log_target
        l1_loss input target size_average reduce reduction weight
        margin_ranking_loss input1 input2 target margin size_average reduce reduction
        mse_loss input target size_average reduce reduction weight
        multi_margin_loss input target p margin weight size_average reduce reduction
        multilabel_margin_loss input target size_average reduce reduction
        multilabel_soft_margin_loss input target weight size_average reduce reduction
        nll_loss input target weight size_average ignore_index reduce reduction
        poisson_nll_loss input target log_input full size_average eps reduce reduction
        smooth_l1_loss input target size_average reduce reduction beta
        soft_margin_loss input target size_average reduce reduction
        triplet_margin_loss anchor positive negative margin p eps swap size_average reduce reduction
        """,
    "torch.nn": """
        BCELoss weight size_average reduce reduction
        BCEWithLogitsLoss weight size_average reduce reduction pos_weight
        CosineEmbeddingLoss margin size_average reduce reduction
        CrossEntropyLoss weight size_average ignore_index reduce reduction label_smoothing
        HingeEmbeddingLoss margin size_average reduce reduction
        KLDivLoss size_average reduce reduction log_target
        L1Loss size_average reduce reduction
        Linear in_features out_features bias device dtype
        MSELoss size_average reduce reduction
        MarginRankingLoss margin size_average reduce reduction
        MultiLabelMarginLoss size_average reduce reduction
        MultiLabelSoftMarginLoss weight size_average reduce reduction
        MultiMarginLoss p margin weight size_average reduce reduction
        NLLLoss weight size_average ignore_index reduce reduction
        NLLLoss2d weight size_average ignore_index reduce reduction
        PoissonNLLLoss log_input full size_average eps reduce reduction
        SmoothL1Loss size_average reduce reduction beta
        SoftMarginLoss size_average reduce reduction
        TripletMarginLoss margin p eps swap size_average reduce reduction
        """,
}

SIGNATURES: dict[str, tuple[str, ...]] = {
    f"{module}.{name}": tuple(parameters)
    for module, lines in _SIGNATURES.items()
    for name, *parameters in map(str.split, lines.strip().splitlines())
}
"""By the full names of functions and classes."""
