"""The network behind ``churn_score``: the one place that says what the model is.

``train_churn.py`` trains and exports it; ``functions/churn_torch.yml`` names ``churn_model:build`` as its entrypoint.
"""

from __future__ import annotations

import torch
from torch import nn

FEATURES = (
    "tenure_months",
    "monthly_charges",
    "support_tickets",
    "late_payments",
    "days_since_login",
    "is_monthly",
    "autopay",
)


class ChurnNet(nn.Module):
    """Features [N, 7] → probability [N]. Scaling is part of the model, so SQL passes raw columns."""

    def __init__(self, features: int = len(FEATURES), width: int = 32) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.layers = nn.Sequential(
            nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        logits = self.layers((features - self.mean) / self.scale)
        return torch.sigmoid(logits).squeeze(-1)


def build() -> nn.Module:
    return ChurnNet()
