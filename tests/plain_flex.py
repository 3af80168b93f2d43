"""FlexAttention by its formula, from the listed blocks of a BlockMask alone. For tests.

torch's own FlexAttention on CPUs looks at the mask alone, so a block missing in the lists would go unnoticed there.
"""

import torch
from torch.nn.attention.flex_attention import AuxOutput


def blocks_listed(number, index, n_rows, n_columns):
    """(n_rows, n_columns) bool, the blocks in a list of blocks by row."""
    out = torch.zeros(n_rows, n_columns, dtype=torch.bool)
    for row in range(n_rows):
        chosen = index[0, 0, row, : int(number[0, 0, row])].long()
        assert not out[row, chosen].any()
        out[row, chosen] = True
    return out


def listed(mask):
    """(I, J) bool, blocks listed as shown in part, and (I, J) listed as shown whole; both passes must agree."""
    found = []
    for by_query, by_key in (
        ((mask.kv_num_blocks, mask.kv_indices), (mask.q_num_blocks, mask.q_indices)),
        ((mask.full_kv_num_blocks, mask.full_kv_indices), (mask.full_q_num_blocks, mask.full_q_indices)),
    ):
        shape = by_query[1].shape[-2:]
        found.append(blocks_listed(*by_query, *shape))
        assert (found[-1] == blocks_listed(*by_key, *shape[::-1]).T).all()
    assert not (found[0] & found[1]).any()
    return found


def shown(mask):
    """(L, M) bool, True = may attend: listed blocks under the mask, and those listed as whole without it."""
    n_queries, n_keys = mask.seq_lengths
    part, whole = (
        x.repeat_interleave(mask.BLOCK_SIZE[0], 0).repeat_interleave(mask.BLOCK_SIZE[1], 1)[:n_queries, :n_keys]
        for x in listed(mask)
    )
    return whole | part & allowed(mask)


def allowed(mask):
    """(L, M) bool, the mask function of each pair."""
    zero = torch.zeros((), dtype=torch.int32)
    q, k = (torch.arange(n, dtype=torch.int32) for n in mask.seq_lengths)
    return mask.mask_mod(zero, zero, q[:, None], k[None])


def plain_flex(q, k, v, *, score_mod, block_mask, enable_gqa, return_aux, kernel_options):
    """(1, H, L, D) outputs and (1, H, L) log-sum-exps, 0 and −inf for a query without keys."""
    assert enable_gqa
    assert return_aux.lse
    repeats = q.shape[1] // k.shape[1]
    wide = torch.promote_types(q.dtype, torch.float32)
    q_HLD, k_HMD, v_HMD = (x[0].to(wide) for x in (q, k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)))
    scores_HLM = q_HLD @ k_HMD.transpose(1, 2) * q.shape[-1] ** -0.5
    if score_mod is not None:
        zero = torch.zeros((), dtype=torch.int32)
        at, of = torch.arange(q.shape[2])[:, None], torch.arange(k.shape[2])[None]
        scores_HLM = score_mod(scores_HLM, zero, zero, at, of)
    mask_LM = shown(block_mask)
    without_keys_L = ~mask_LM.any(dim=1)
    scores_HLM = scores_HLM.masked_fill(~mask_LM, -torch.inf)
    lse_HL = scores_HLM.masked_fill(without_keys_L[:, None], 0.0).logsumexp(-1)
    out_HLD = (scores_HLM - lse_HL[..., None]).exp() @ v_HMD
    lse_HL = lse_HL.masked_fill(without_keys_L, -torch.inf)
    if lse_HL.requires_grad:  # the kernel multiplies it by what is 0 for a query without keys: it must be a number
        lse_HL.register_hook(_assert_finite)
    return out_HLD.to(q.dtype)[None], AuxOutput(lse=lse_HL[None])


def _assert_finite(grad):
    assert grad.isfinite().all()
