"""The fields of a row, in and out: one embedding a row in, nested heads out.

A row costs one pass of the big model; its fields are then predicted one after the other, each by a small head that sees
the fields before it. Shape letters: N rows, M rows that have a field, F fields, C width, V values of a field.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.arrays import Floats
from meloctl.rows.vocabulary import ABSENT, FIELDS, HEADER_FIELDS, INSTRUMENT, NOTE_FIELDS, Vocabulary


class RowEmbedding(nn.Module):
    """One vector a row: the sum of its fields' embeddings. An absent field adds a vector of its own."""

    def __init__(self, vocabulary: Vocabulary, width: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size + 1, width) for size in vocabulary.sizes)  # entry 0 is ABSENT

    def forward(self, rows_NF: Tensor) -> Tensor:
        """(N, 8) fields → (N, C)."""
        fields = (table(rows_NF[..., f] - ABSENT) for f, table in enumerate(self.tables))
        return torch.stack(list(fields)).sum(dim=0)


class FieldHead(nn.Module):
    """Logits of one field from the row's state."""

    def __init__(self, width: int, hidden: int, size: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width)
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, size)

    def forward(self, state: Tensor) -> Tensor:
        """(…, C) → (…, V)."""
        return self.outer(F.silu(self.inner(self.norm(state))))


class RowHeads(nn.Module):
    """Predicts a row field by field: the instrument first, then the fields that its kind of row has."""

    def __init__(self, vocabulary: Vocabulary, width: int, hidden: int) -> None:
        super().__init__()
        self.headers = (vocabulary.bar, vocabulary.masked_bar)
        self.noteless = (*self.headers, vocabulary.end, vocabulary.infill_bar)
        self.heads: Sequence[FieldHead] = nn.ModuleList(  # type: ignore[assignment]
            FieldHead(width, hidden, size) for size in vocabulary.sizes
        )
        told = (INSTRUMENT, *HEADER_FIELDS[:-1], *NOTE_FIELDS[:-1])  # the last field of a row has none after it
        self.known = nn.ModuleDict({FIELDS[f]: nn.Embedding(vocabulary.sizes[f], width) for f in told})
        """What a field's value adds to the state once it is known."""

    @torch.no_grad()
    def init_biases(self, shares: Sequence[Floats]) -> None:
        """Let an untrained model predict each field's values by their share in the training pieces, all above 0."""
        for head, share in zip(self.heads, shares, strict=True):
            head.outer.bias.copy_(torch.from_numpy(np.log(share)))

    def logits(self, field: int, state: Tensor) -> Tensor:
        """(…, C) → (…, V) logits of one field, given the fields already told to the state."""
        return self.heads[field](state)

    def condition_on(self, field: int, value: Tensor, state: Tensor) -> Tensor:
        """The state that knows a field's value; value (…), state (…, C)."""
        return state + self.known[FIELDS[field]](value)

    def all_logits(self, state_NC: Tensor, rows_NF: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
        """Logits of every field that stands in given rows, each from the fields before it (teacher forcing). Of a reopening row,
        whose other fields are those of the bar's header, the instrument alone.

        Returns:
            {field: (index (M,) of the rows that have the field, logits (M, V))}
        """
        instrument_N = rows_NF[:, INSTRUMENT]
        everyone = torch.arange(len(rows_NF), device=rows_NF.device)
        out = {INSTRUMENT: (everyone, self.logits(INSTRUMENT, state_NC))}
        header_N = torch.stack([instrument_N == i for i in self.headers]).any(dim=0)
        for chosen_N, fields in (
            (header_N, HEADER_FIELDS),
            (torch.stack([instrument_N != i for i in self.noteless]).all(dim=0), NOTE_FIELDS),
        ):
            index = chosen_N.nonzero()[:, 0]
            state = self.condition_on(INSTRUMENT, instrument_N[index], state_NC[index])
            for field in fields:
                out[field] = (index, self.logits(field, state))
                if field != fields[-1]:
                    state = self.condition_on(field, rows_NF[index, field], state)
        return out

    def nll(self, state_NC: Tensor, rows_NF: Tensor) -> Tensor:
        """(N, 8) −ln p of every field of given rows, 0 where a row lacks the field."""
        with torch.autocast("cpu", enabled=False):  # products too small to gain by bf16, and rare fields that lose
            every = self.all_logits(state_NC, rows_NF)
        columns = []
        for field in range(len(FIELDS)):
            index, logits = every[field]
            nats = F.cross_entropy(logits.float(), rows_NF[index, field], reduction="none")
            columns.append(nats.new_zeros(len(rows_NF)).index_copy(0, index, nats))
        return torch.stack(columns, dim=1)
