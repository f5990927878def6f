"""The arguments of torch's functions and classes, in order.

Written by tests/torch_signatures.py, from torch's stubs.
"""

# ruff: noqa: E501

TABLE: dict[str, str] = {
    "torch": """
        _log_softmax input dim half_to_float
        _softmax input dim half_to_float
        abs input
        abs_ input
        absolute input
        add input other * alpha
        addcmul input tensor1 tensor2 * value
        addmm input mat1 mat2 * beta alpha | input mat1 mat2 out_dtype * beta alpha
        adjoint input
        all input dim keepdim
        alpha_dropout input p train
        alpha_dropout_ input p train
        amax input dim keepdim
        amin input dim keepdim
        any input dim keepdim
        argmax input dim keepdim
        argmin input dim keepdim
        as_strided input size stride storage_offset
        as_strided_ input size stride storage_offset
        batch_norm input weight bias running_mean running_var training momentum eps cudnn_enabled
        bernoulli input * generator | input p * generator
        bilinear input1 input2 weight bias
        bmm input mat2 out_dtype
        broadcast_to input size
        bucketize input boundaries * out_int32 right
        cat tensors dim
        ceil input
        ceil_ input
        celu input alpha
        celu_ input alpha
        chunk input chunks dim
        clamp input min max
        clamp_ input min max
        clamp_max input max
        clamp_max_ input max
        clamp_min input min
        clamp_min_ input min
        clip input min max
        clip_ input min max
        clone input * memory_format
        concat tensors dim
        concatenate tensors dim
        conv1d input weight bias stride padding dilation groups
        conv2d input weight bias stride padding dilation groups
        conv3d input weight bias stride padding dilation groups
        conv_transpose1d input weight bias stride padding output_padding groups dilation
        conv_transpose2d input weight bias stride padding output_padding groups dilation
        conv_transpose3d input weight bias stride padding output_padding groups dilation
        cos input
        cos_ input
        count_nonzero input dim
        cumprod input dim * dtype
        cumsum input dim * dtype
        detach input
        detach_ input
        diag input diagonal
        diagonal input offset dim1 dim2
        div input other * rounding_mode
        divide input other * rounding_mode
        dot input tensor
        dropout input p train
        dropout_ input p train
        einsum *args
        embedding weight indices padding_idx scale_grad_by_freq sparse
        eq input other
        erf input
        erf_ input
        exp input
        exp_ input
        expm1 input
        expm1_ input
        feature_alpha_dropout input p train
        feature_alpha_dropout_ input p train
        fill input value
        fill_ input value
        fix input
        fix_ input
        flatten input start_dim end_dim
        flip input dims
        fliplr input
        flipud input
        floor input
        floor_ input
        fmod input other
        gather input dim index * sparse_grad
        ge input other
        greater input other
        greater_equal input other
        group_norm input num_groups weight bias eps cudnn_enabled
        gt input other
        hsplit input sections | input indices
        hstack tensors
        index_add input dim index source * alpha
        index_copy input dim index source
        index_fill input dim index value
        index_select input dim index
        instance_norm input weight bias running_mean running_var use_input_stats momentum eps cudnn_enabled
        is_floating_point input
        kthvalue input k dim keepdim
        layer_norm input normalized_shape weight bias eps cudnn_enable
        le input other
        lerp input end weight
        less input other
        less_equal input other
        log input
        log10 input
        log10_ input
        log1p input
        log1p_ input
        log2 input
        log2_ input
        log_ input
        log_softmax input dim dtype
        logit input eps
        logit_ input eps
        logsumexp input dim keepdim
        lt input other
        masked_fill input mask value
        masked_select input mask
        matmul input other
        max input other | input dim keepdim
        maximum input other
        mean input * dtype | input dim keepdim * dtype
        median input dim keepdim
        min input other | input dim keepdim
        minimum input other
        mm input mat2 out_dtype
        mode input dim keepdim
        moveaxis input source destination
        movedim input source destination
        mul input other
        multiply input other
        nan_to_num input nan posinf neginf
        nan_to_num_ input nan posinf neginf
        nanmean input dim keepdim * dtype
        nansum input dim keepdim * dtype
        narrow input dim start length
        ne input other
        neg input
        neg_ input
        negative input
        negative_ input
        norm input p dim keepdim out dtype
        normal mean std * generator | mean std size * generator dtype layout device pin_memory requires_grad
        not_equal input other
        numel input
        permute input dims
        poisson input generator
        positive input
        pow input exponent
        prod input * dtype | input dim keepdim * dtype
        quantile input q dim keepdim * interpolation
        ravel input
        reciprocal input
        reciprocal_ input
        relu input
        relu_ input
        remainder input other
        repeat_interleave input repeats dim * output_size | repeats * output_size
        reshape input shape
        resolve_conj input
        roll input shifts dims
        round input * decimals
        round_ input * decimals
        row_stack tensors
        rsqrt input
        rsqrt_ input
        rsub input other * alpha | input other alpha
        scatter input dim index src * reduce | input dim index value * reduce
        scatter_add input dim index src
        select input dim index
        selu input
        selu_ input
        sigmoid input
        sigmoid_ input
        sign input
        sin input
        sin_ input
        softmax input dim dtype
        sort input * stable dim descending | input dim descending
        split tensor split_size_or_sections dim
        split_with_sizes input split_sizes dim
        sqrt input
        sqrt_ input
        square input
        square_ input
        squeeze input dim
        stack tensors dim
        std input dim unbiased keepdim | input dim * correction keepdim | input unbiased
        sub input other * alpha
        subtract input other * alpha | input other alpha
        sum input * dtype | input dim keepdim * dtype
        swapaxes input axis0 axis1
        swapdims input dim0 dim1
        t input
        take input index
        take_along_dim input indices dim
        tanh input
        tanh_ input
        tensor_split input tensor_indices_or_sections dim | input sections dim | input indices dim
        threshold input threshold value
        threshold_ input threshold value
        tile input dims
        topk input k dim largest sorted
        transpose input dim0 dim1
        true_divide input other
        trunc input
        trunc_ input
        unbind input dim
        unflatten input dim sizes
        unsqueeze input dim
        var input dim unbiased keepdim | input dim * correction keepdim | input unbiased
        vsplit input sections | input indices
        vstack tensors
        where condition input other
        """,
    "torch.Tensor": """
        __add__ input other
        __eq__ input other
        __ge__ input other
        __getitem__ input indices
        __gt__ input other
        __iadd__ input other
        __imul__ input other
        __isub__ input other
        __iter__ input
        __le__ input other
        __lt__ input other
        __matmul__ input other
        __mod__ input other
        __mul__ input other
        __ne__ input other
        __neg__ input
        __pow__ input other
        __radd__ input other
        __rdiv__ input other
        __rmul__ input other
        __rsub__ input other
        __rtruediv__ input other
        __sub__ input other
        __truediv__ input other
        absolute_ input
        add_ input other * alpha
        addcmul_ input tensor1 tensor2 * value
        addmm input mat1 mat2 * beta alpha
        addmm_ input mat1 mat2 * beta alpha
        bernoulli_ input p * generator
        bfloat16 input
        bmm input mat2
        bool input
        broadcast_to input size | input *size
        byte input
        coalesce input
        contiguous input memory_format
        copy_ input other non_blocking
        count_nonzero input dim | input *dim
        cpu input memory_format
        cuda input device non_blocking memory_format
        cumprod_ input dim * dtype
        cumsum_ input dim * dtype
        dim input
        div_ input other * rounding_mode
        divide_ input other * rounding_mode
        double input
        eq_ input other
        expand input size * implicit | input *size * implicit
        expand_as input other
        fill_diagonal_ input fill_value wrap
        flip input dims | input *dims
        float input
        fmod_ input other
        ge_ input other
        greater_ input other
        greater_equal_ input other
        gt_ input other
        half input
        hsplit input sections | input indices | input *indices
        index_add_ input dim index source * alpha
        index_copy_ input dim index source
        index_fill_ input dim index value
        int input
        item input
        le_ input other
        lerp_ input end weight
        less_ input other
        less_equal_ input other
        long input
        lt_ input other
        masked_fill_ input mask value
        mm input mat2
        mul_ input other
        multiply_ input other
        ndimension input
        ne_ input other
        nelement input
        norm input p dim keepdim dtype
        normal_ input mean std * generator
        not_equal_ input other
        numpy input * force
        permute input dims | input *dims
        pin_memory input device
        pow_ input exponent
        remainder_ input other
        repeat input repeats | input *repeats
        repeat_interleave input repeats dim * output_size
        requires_grad_ input mode
        reshape input shape | input *shape
        reshape_as input other
        resize input *sizes
        resize_ input size * memory_format | input *size * memory_format
        retain_grad input
        scatter_ input dim index src * reduce | input dim index value * reduce
        scatter_add_ input dim index src
        share_memory_ input
        short input
        sign_ input
        size input dim
        split input split_size dim
        squeeze input dim | input *dim
        squeeze_ input dim | input *dim
        sub_ input other * alpha
        subtract_ input other * alpha | input other alpha
        swapaxes_ input axis0 axis1
        swapdims_ input dim0 dim1
        t_ input
        tensor_split input indices dim | input tensor_indices_or_sections dim | input sections dim
        tile input dims | input *dims
        to input dtype non_blocking copy * memory_format | input device dtype non_blocking copy * memory_format | input other non_blocking copy * memory_format
        tolist input
        transpose_ input dim0 dim1
        true_divide_ input other
        type input dtype non_blocking
        type_as input other
        uniform_ input from_ to * generator
        unsqueeze_ input dim
        view input dtype | input size | input *size
        view_as input other
        vsplit input sections | input indices | input *indices
        where input condition other
        """,
    "torch.nn.functional": """
        _threshold input threshold value inplace
        alpha_dropout input p training inplace
        batch_norm input running_mean running_var weight bias training momentum eps
        binary_cross_entropy input target weight size_average reduce reduction
        binary_cross_entropy_with_logits input target weight size_average reduce reduction pos_weight
        celu input alpha inplace
        cosine_embedding_loss input1 input2 target margin size_average reduce reduction
        cross_entropy input target weight size_average ignore_index reduce reduction label_smoothing
        dropout input p training inplace
        dropout1d input p training inplace
        dropout2d input p training inplace
        dropout3d input p training inplace
        elu input alpha inplace
        elu_ input alpha
        embedding input weight padding_idx max_norm norm_type scale_grad_by_freq sparse
        feature_alpha_dropout input p training inplace
        gelu input approximate
        glu input dim
        group_norm input num_groups weight bias eps
        gumbel_softmax logits tau hard eps dim
        hardsigmoid input inplace
        hardsigmoid_ input
        hardswish input inplace
        hardswish_ input
        hardtanh input min_val max_val inplace
        hardtanh_ input min_val max_val
        hinge_embedding_loss input target margin size_average reduce reduction
        instance_norm input running_mean running_var weight bias use_input_stats momentum eps
        kl_div input target size_average reduce reduction log_target
        l1_loss input target size_average reduce reduction weight
        layer_norm input normalized_shape weight bias eps
        leaky_relu input negative_slope inplace
        leaky_relu_ input negative_slope
        linear input weight bias
        log_softmax input dim _stacklevel dtype
        margin_ranking_loss input1 input2 target margin size_average reduce reduction
        mish input inplace
        mish_ input
        mse_loss input target size_average reduce reduction weight
        multi_margin_loss input target p margin weight size_average reduce reduction
        multilabel_margin_loss input target size_average reduce reduction
        multilabel_soft_margin_loss input target weight size_average reduce reduction
        nll_loss input target weight size_average ignore_index reduce reduction
        normalize input p dim eps out
        one_hot tensor num_classes
        pad input pad mode value
        poisson_nll_loss input target log_input full size_average eps reduce reduction
        relu input inplace
        relu6 input inplace
        relu6_ input
        selu input inplace
        sigmoid input
        silu input inplace
        silu_ input
        smooth_l1_loss input target size_average reduce reduction beta
        soft_margin_loss input target size_average reduce reduction
        softmax input dim _stacklevel dtype
        softmin input dim _stacklevel dtype
        softplus input beta threshold
        tanh input
        threshold input threshold value inplace
        triplet_margin_loss anchor positive negative margin p eps swap size_average reduce reduction
        """,
    "torch.nn": """
        AlphaDropout p inplace
        BCELoss weight size_average reduce reduction
        BCEWithLogitsLoss weight size_average reduce reduction pos_weight
        CELU alpha inplace
        CosineEmbeddingLoss margin size_average reduce reduction
        CrossEntropyLoss weight size_average ignore_index reduce reduction label_smoothing
        Dropout p inplace
        Dropout1d p inplace
        Dropout2d p inplace
        Dropout3d p inplace
        ELU alpha inplace
        FeatureAlphaDropout p inplace
        Hardsigmoid inplace
        Hardswish inplace
        Hardtanh min_val max_val inplace min_value max_value
        HingeEmbeddingLoss margin size_average reduce reduction
        KLDivLoss size_average reduce reduction log_target
        L1Loss size_average reduce reduction
        LeakyReLU negative_slope inplace
        Linear in_features out_features bias device dtype
        MSELoss size_average reduce reduction
        MarginRankingLoss margin size_average reduce reduction
        Mish inplace
        MultiLabelMarginLoss size_average reduce reduction
        MultiLabelSoftMarginLoss weight size_average reduce reduction
        MultiMarginLoss p margin weight size_average reduce reduction
        NLLLoss weight size_average ignore_index reduce reduction
        NLLLoss2d weight size_average ignore_index reduce reduction
        PoissonNLLLoss log_input full size_average eps reduce reduction
        RReLU lower upper inplace
        ReLU inplace
        ReLU6 inplace
        SELU inplace
        SiLU inplace
        SmoothL1Loss size_average reduce reduction beta
        SoftMarginLoss size_average reduce reduction
        Threshold threshold value inplace
        TripletMarginLoss margin p eps swap size_average reduce reduction
        """,
}
