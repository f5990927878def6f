"""Every language model of transformers, tiny and random: nothing is downloaded, and each runs in a moment.

A configuration is its class's default with the numbers made small, attribute by attribute and through the
configurations in it, by the first of `_RULES` whose pattern is the attribute's name. Lists with an entry a layer keep
one layer of each kind. What no rule can know is in `_EXCEPTIONS`, and what a batch needs beyond tokens in `_inputs`.
"""

import inspect
import re
from typing import Any

import torch
import transformers
from torch import nn
from transformers import PretrainedConfig
from transformers.models.auto import modeling_auto


def _names(mapping: dict[str, Any]) -> tuple[str, ...]:
    found: set[str] = set()
    for value in mapping.values():
        found.update([value] if isinstance(value, str) else value)
    return tuple(sorted(found))


NAMES: dict[str, tuple[str, ...]] = {
    "causal": _names(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
    "masked": _names(modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES),
    "seq2seq": _names(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES),
}
"""Model classes by the kind that `build` wants."""

# --- configurations -----------------------------------------------------------------------------------------------

_VOCABULARY, _TOKENS = 131, 9
_SPECIAL, _SOUND = 60, 4
"""Tokens below the first mean something: ends, padding, images, sounds."""

_DEPTH = r"(num_|n_)?(\w+_)?(layers?|blocks)|num_(layers_per_stack|self_attends_per_block)"
_RULES: list[tuple[str, Any]] = [
    # chances
    (r"\w*drop(out)?(_|$)\w*|\w*_pdrop|\w*layerdrop|\w*jitter_noise|mask_(time|feature)_prob", 0.0),
    # tokens
    (r"(\w+_)?pad_token_id", 0),
    (r"bos_token_id|cls_token_id", 1),
    (r"(forced_)?eos_token_id|(sep|eod)_token_id", 2),
    (r"(\w+_)?decoder_start_token_id", 3),
    (r"audio_token_(id|index)", _SOUND),
    (r"\w+_token_(id|index)", 5),
    (r"\w*vocab_size\w*|encoder_hash_byte_group_vocab", _VOCABULARY),
    # heads
    (r"(\w+_)?num_key_value_heads|num_kv_heads|kv_n_heads", 1),
    (r"\w*mamba_(n_|num_)?heads|n_mamba_heads", 4),
    (r"(\w+_)?(num_|n_)(\w+_)?heads?|\w*attention_heads|num_query_groups", 2),
    (r"qk_head_dim", 32),
    (r"rotary_dim", 8),
    (r"(\w+_)?head_?dim|dim_head|d_head|d_kv|attention_head_size|kv_channels|mamba_d_head", 16),
    # widths
    (r"\w*intermediate_size\w*|\w*ffn_(dim|hidden_size)|d_ff|d_inner|dff|dim_ff|feed_forward_size|mlp_dim", 48),
    (r"\w*hidden_(size|dim)\w*|d_model|n_embd|dim|\w*emb(ed|edding)?_dim|\w*embedding_size|lru_width|d_latents", 32),
    (r"intra_bottleneck_size|word_embed_proj_dim|prediction_head_size|mamba_d_ssm", 32),
    (r"output_channels|\w*_out_channel|nemo_conv\w*", 32),
    (r"\w*_rank|hc_lowrank|d_rel|\w*state_size|\w*d_state|(mamba_)?chunk_size|context_size", 8),
    # experts
    (r"(\w+_)?(num|n)_(\w+_)?shared_experts|n_groups?|topk_group|num_expert_group|mamba_n_?groups", 1),
    (r"(\w+_)?(num|n)_(\w+_)?experts|zero_expert_num", 4),
    (r"num_experts_per_tok(en)?|moe_(top)?_?k", 2),
    # lengths
    (r"max_source_positions", 8),
    (r"\w*max\w*pos\w*|n_positions|n_ctx|max_seq_len|context_length|model_max_length|num_landmarks", 64),
    (r"sliding_window(_size)?|attention_window_size|local_attention\w*|index_topk", 8),
    (r"attention_window", 4),
    (r"\w+_attn_chunk_length", 3),
    (r"image_size|crop_size", 32),
    (r"num_mel_bins", 16),
    # layers; those that are counted among them stay as they are, but for sharing, which needs many
    (r"num_kv_shared_layers", 0),
    (r"num_(adapter|random|dense|nextn|residual|mem)_\w+|\w+_n_blocks|index_\w+_blocks|max_window_layers", None),
    (_DEPTH, 2),
]
_FILLED = {"head_dim", "num_key_value_heads", "n_routed_experts", "num_experts_per_tok", "vocab_size"}
"""Attributes that a rule sets also where their default is None."""

_EXCEPTIONS: dict[str, dict[str, Any]] = {
    "BambaConfig": {"attn_layer_indices": [1]},  # the default has no attention
    "BltConfig": {"use_cache": False},  # has no num_hidden_layers to make a cache of
    "BltGlobalTransformerConfig": {"hidden_size": 64, "head_dim": 32},  # two tokens wide
    "BltPatcherConfig": {"vocab_size": 137},  # has logits of its own, which are not those of the loss
    "BltLocalDecoderConfig": {"hidden_size_global": 64},
    "BltLocalEncoderConfig": {"hidden_size_global": 64},
    "CodeGenConfig": {"n_head": 4},  # are in four groups
    "CohereCompassTextConfig": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}}},
    "DbrxAttentionConfig": {"rope_theta": 1e4, "clip_qkv": 8.0},  # have no default
    "DiffLlamaConfig": {"num_key_value_heads": 2},  # are in pairs
    "DoryConfig": {
        **{f"n_{part}_layers": 1 for part in ("input", "recurrent", "output")},
        "num_hidden_layers": 3,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
    "Dots1Config": {"n_shared_experts": 1},
    "Dots3NoteTextConfig": {"head_dim": 64},  # of which a quarter is rotated
    "EsmConfig": {"pad_token_id": 0},
    "GlmAsrEncoderConfig": {"intermediate_size": 128},  # four frames wide
    "GraniteMoeHybridConfig": {"layer_types": ["linear_attention", "full_attention"]},
    "HrmTextConfig": {"num_layers_per_stack": 1, "num_hidden_layers": 8},  # times cycles
    "HunYuanMoEV1Config": {"num_experts": 4, "moe_topk": 2},
    "JambaConfig": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "Lfm2MoeConfig": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "Mamba2Config": {"num_heads": 4},
    "MusicFlamingoConfig": {"head_dim": 32},
    "MusicgenDecoderConfig": {"num_codebooks": 2},
    "MusicgenMelodyDecoderConfig": {"num_codebooks": 2},
    "PerceiverConfig": {"max_position_embeddings": _TOKENS},  # that many logits
    "Qwen3ASREncoderConfig": {"output_dim": 32},
    "RecurrentGemmaConfig": {"num_hidden_layers": 3},  # attention is in the third
    "ReformerConfig": {"axial_pos_embds": False, "hash_seed": 0},  # they want a length of their own
    "VoxtralEncoderConfig": {"intermediate_size": 128},  # four frames wide
    "VoxtralConfig": {"audio_token_id": _SOUND},
    "XmodConfig": {"default_language": "en_XX"},
    "ZambaConfig": {
        "layers_block_type": ["linear_attention", "hybrid", "hybrid"],  # which share weights
        "num_hidden_layers": 3,
        "attention_hidden_size": 64,
        "attention_head_dim": 32,
    },
    "Zamba2Config": {
        "hybrid_layer_ids": [1],
        "mamba_headdim": 16,
        "attention_hidden_size": 64,
        "attention_head_dim": 32,
    },
    # queries are rounded up to 64, and the cache is written in place
    "xLSTMConfig": {"hidden_size": 128, "embedding_dim": 128, "mode": "train", "chunk_size": 3, "use_cache": False},
    "Qwen4ExpTextConfig": {
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 16,
        "indexer_budget": 8,
        "indexer_compress_ratio": 4,
    },
    "VibeVoiceAcousticTokenizerEncoderConfig": {"num_filters": 4, "depths": (1, 1), "downsampling_ratios": (2,)},
}
"""Attributes by class of configuration."""

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "Gemma4AssistantForCausalLM": {"text_config": {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0}},
}
"""What a configuration is made with, by model, where its own defaults are refused."""


def _shrink(config: PretrainedConfig) -> None:
    """Make the numbers of a configuration small, in place."""
    config.per_layer_config = None
    fields = {k: v for k, v in vars(config).items() if not k.startswith("_")}
    depths = {v for k, v in fields.items() if re.fullmatch(_DEPTH, k) and type(v) is int and v > 2}
    lists = {k: v for k, v in fields.items() if isinstance(v, (list, tuple)) and len(v) in depths}
    kept = {depth: _kinds([v for v in lists.values() if len(v) == depth]) for depth in map(len, lists.values())}
    for name, value in fields.items():
        small = next((small for pattern, small in _RULES if re.fullmatch(pattern, name)), None)
        if isinstance(value, PretrainedConfig):
            _shrink(value)
        elif name in lists:
            setattr(config, name, type(value)(_small(value[i], small) for i in kept[len(value)]))
        elif small is not None and value is not None and name.endswith(("_token_id", "_token_index")):
            setattr(config, name, small)
        elif small is not None and (name in _FILLED or value is not None):
            if "key_value" in name and value == fields.get("num_attention_heads"):
                small = 2
            if re.fullmatch(_DEPTH, name) and type(value) is int and value in kept:
                small = len(kept[value])
            setattr(config, name, _small(value, small))
    for cls in reversed(type(config).__mro__):
        for name, value in _EXCEPTIONS.get(cls.__name__, {}).items():
            setattr(config, name, value)


def _small(value: object, small: float | None) -> object:
    """A number made small, if it is a larger one; a vocabulary is as given."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and small is not None:
        return type(value)(small if small in (0, _VOCABULARY) else min(value, small))
    return small if value is None else value


def _kinds(lists: list[Any]) -> list[int]:
    """Layers to keep: the first of each kind, and two at least."""
    columns = [str(column) for column in zip(*lists)]
    first = sorted({columns.index(column) for column in columns})
    return first if len(first) > 1 else [0, 1]


_SOUNDS: dict[str, tuple[str, tuple[int, ...], str | None, int]] = {
    "AudioFlamingo3ForConditionalGeneration": ("input_features", (16, 16), "input_features_mask", 4),
    "GlmAsrForConditionalGeneration": ("input_features", (16, 16), "input_features_mask", 2),
    "GraniteSpeechForConditionalGeneration": ("input_features", (30, 160), None, 6),
    "GraniteSpeechPlusForConditionalGeneration": ("input_features", (30, 160), None, 6),
    "MossTranscribeDiarizeForConditionalGeneration": ("input_features", (16, 16), "input_features_mask", 2),
    "MusicFlamingoForConditionalGeneration": ("input_features", (16, 16), "input_features_mask", 4),
    "Nemotron3_5TranscribeForConditionalGeneration": ("input_features", (32, 16), "input_features_mask", 4),
    "Qwen2AudioForConditionalGeneration": ("input_features", (16, 16), "feature_attention_mask", 4),
    "Qwen3ASRForConditionalGeneration": ("input_features", (16, 100), "input_features_mask", 13),
    "VibeVoiceAsrForConditionalGeneration": ("input_values", (1, 8), "padding_mask", 4),
    "VoxtralForConditionalGeneration": ("input_features", (16, 16), None, 2),
    "VoxtralRealtimeForConditionalGeneration": ("input_features", (16, 72), None, 0),
}
"""What models that hear are given: its name and shape, that of its mask, and how many tokens it becomes."""

# --- models -------------------------------------------------------------------------------------------------------


def build(name: str, kind: str) -> tuple[nn.Module, dict[str, Any]]:
    """A model in training mode without dropout, and a batch of which it computes a loss, or logits for one."""
    cls = getattr(transformers, name)
    config = cls.config_class(**_ARGUMENTS.get(name, {}))
    if name == "Gemma3nForConditionalGeneration":  # its own pictures need timm
        vision = transformers.SiglipVisionConfig(vocab_size=1, vocab_offset=0, rms_norm_eps=1e-6)
        vars(config)["vision_config"] = vision
    _shrink(config)
    if kind == "causal" and hasattr(config, "is_decoder"):
        config.is_decoder = True
    if kind == "seq2seq":
        config.decoder_start_token_id, config.pad_token_id = 3, 0
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = cls(config).float().train()
        head = model.get_output_embeddings()
        for parameter in [] if head is None else head.parameters():
            nn.init.normal_(parameter, std=0.5)  # logits far from uniform, as trained ones are
        batch = _inputs(model)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model, batch


def _inputs(model: nn.Module) -> dict[str, Any]:
    taken = inspect.signature(model.forward).parameters
    name = type(model).__name__
    books = model.config.num_codebooks if name.startswith("Musicgen") else 1
    tokens = torch.randint(_SPECIAL, _VOCABULARY, (2 * books, _TOKENS))
    mask = torch.ones(2, _TOKENS, dtype=torch.long)
    mask[1, -2:] = 0
    labels = torch.randint(_SPECIAL, _VOCABULARY, (2, _TOKENS, books) if books > 1 else (2, _TOKENS))
    labels[mask == 0] = labels[:, 1] = -100
    batch: dict[str, Any] = {"input_ids": tokens, "labels": labels}
    if "attention_mask" in taken:
        batch["attention_mask"] = mask
    if name == "GitForCausalLM":
        batch["pixel_values"] = torch.randn(2, 3, 32, 32)
    if "shared_kv_states" in taken:  # it drafts from a larger model's embeddings and states, keys and values
        text = model.config.text_config
        batch["inputs_embeds"] = torch.randn(2, _TOKENS, 2 * model.config.backbone_hidden_size)
        shape = (2, text.num_key_value_heads, _TOKENS, text.head_dim)
        batch["output_hidden_states"] = True  # without, Gemma 4 of transformers 5.24 slices inputs that these lack
        batch["shared_kv_states"] = {kind: tuple(torch.randn(2, *shape)) for kind in text.layer_types}
    if name in _SOUNDS:
        sound, shape, sound_mask, count = _SOUNDS[name]
        batch[sound] = torch.randn(2, *shape)
        if sound_mask is not None:
            batch[sound_mask] = torch.ones(2, max(shape), dtype=torch.bool)
        for key, filler in {"input_ids": _SOUND, "labels": -100, "attention_mask": 1}.items():
            batch[key] = torch.cat([torch.full((2, count), filler), batch[key]], 1)
    return batch
