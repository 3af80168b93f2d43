"""Rows in and out of a model: an embedding of each row, and heads that predict a row field by field.

The model runs once for each row; the row's fields are then predicted one after the other, each by a small head whose state is
conditioned on the fields before it. Shape letters: N rows, M rows that have a field, F fields, C width, V values of a field.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analysis.arrays import Floats
from meloctl.rows.vocabulary import ABSENT, FIELDS, HEADER_FIELDS, INSTRUMENT, NOTE_FIELDS, Vocabulary


class RowEmbedding(nn.Module):
    """Rows (N, F) → vectors (N, C): the sum of the embeddings of a row's fields; an absent field has an embedding too."""

    def __init__(self, vocabulary: Vocabulary, width: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size + 1, width) for size in vocabulary.sizes)  # entry 0 is ABSENT

    def forward(self, rows_NF: Tensor) -> Tensor:
        """(N, F) int64 → (N, C)."""
        fields = (table(rows_NF[..., f] - ABSENT) for f, table in enumerate(self.tables))
        return torch.stack(list(fields)).sum(dim=0)


class FieldHead(nn.Module):
    """Logits of one field's values from a state: norm, one hidden layer."""

    def __init__(self, width: int, hidden: int, size: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width)
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, size)

    def forward(self, state: Tensor) -> Tensor:
        """(…, C) → (…, V)."""
        return self.outer(F.silu(self.inner(self.norm(state))))


class RowHeads(nn.Module):
    """Predicts a row field by field from the state before it: the instrument first, then the fields of its kind of row."""

    def __init__(self, vocabulary: Vocabulary, width: int, hidden: int) -> None:
        super().__init__()
        self.headers = (vocabulary.bar, vocabulary.masked_bar)
        """Instruments of header rows."""

        self.noteless = (*self.headers, vocabulary.end, vocabulary.infill_bar)
        """Instruments of rows that are no notes."""

        self.heads: Sequence[FieldHead] = nn.ModuleList(  # type: ignore[assignment]
            FieldHead(width, hidden, size) for size in vocabulary.sizes
        )
        conditions = (INSTRUMENT, *HEADER_FIELDS[:-1], *NOTE_FIELDS[:-1])  # a row's last field has none after it
        self.known = nn.ModuleDict({FIELDS[f]: nn.Embedding(vocabulary.sizes[f], width) for f in conditions})
        """Of each field, the embedding of its value that `condition_on` adds to the state."""

    @torch.no_grad()
    def init_biases(self, shares: Sequence[Floats]) -> None:
        """Set the output biases so that an untrained model predicts each field's values by their frequency.

        Args:
            shares: of each field, (V,) relative frequencies in the training pieces, all above 0.
        """
        for head, share in zip(self.heads, shares, strict=True):
            head.outer.bias.copy_(torch.from_numpy(np.log(share)))

    def logits(self, field: int, state: Tensor) -> Tensor:
        """State (…, C), conditioned on the fields before → logits (…, V) of a field."""
        return self.heads[field](state)

    def condition_on(self, field: int, value: Tensor, state: Tensor) -> Tensor:
        """State conditioned on a field, (…, C): state + embedding of the field's value.

        Args:
            field: index in FIELDS.
            value: (…) int64.
            state: (…, C).
        """
        return state + self.known[FIELDS[field]](value)

    def all_logits(self, state_NC: Tensor, rows_NF: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
        """Logits of every field of given rows, each conditioned on the row's fields before it (teacher forcing).

        Of an infill header, whose other fields repeat those of the bar's header, the instrument alone.

        Args:
            state_NC: the states that predict the rows.
            rows_NF: the rows.

        Returns:
            {field: (index (M,) of the rows that have the field, logits (M, V))}
        """
        instrument_N = rows_NF[:, INSTRUMENT]
        every_N = torch.arange(len(rows_NF), device=rows_NF.device)
        out = {INSTRUMENT: (every_N, self.logits(INSTRUMENT, state_NC))}
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
        """Negative log-likelihood −ln p of every field of given rows.

        Args:
            state_NC: the states that predict the rows.
            rows_NF: the rows.

        Returns:
            (N, F) float32, in nats; 0 where a row lacks the field.
        """
        with torch.autocast("cpu", enabled=False):  # products too small to gain by bf16, and rare fields that lose
            of_field = self.all_logits(state_NC, rows_NF)
        columns = []
        for field in range(len(FIELDS)):
            index, logits = of_field[field]
            nll = F.cross_entropy(logits.float(), rows_NF[index, field], reduction="none")
            columns.append(nll.new_zeros(len(rows_NF)).index_copy(0, index, nll))
        return torch.stack(columns, dim=1)
