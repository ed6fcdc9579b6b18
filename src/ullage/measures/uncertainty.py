"""How uncertain a model was of an answer: each measure one function, larger meaning less certain.

Log-probabilities are natural and the model's own at temperature 1; entropies are in nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

Weighting = Callable[[int, int, float], float]
"""The weight of a token from its place (0 is the first), how many there are, and its surprisal in nats."""
SAR_TEMPERATURE: Final = 0.001
"""t of sentence relevance (Duan et al. 2024, section 5.1)."""


def nll(logprobs: Sequence[float]) -> float:
    """Negative log-likelihood of an answer; of the greedy one it is G-NLL.

    Aichberger, Schweighofer and Hochreiter 2024, Rethinking Uncertainty Estimation in Natural Language
    Generation, arXiv:2412.15176.
    """
    return -math.fsum(logprobs)


def mean_nll(logprobs: Sequence[float]) -> float:
    """Negative log-likelihood per token; 0 for an answer without tokens.

    Malinin and Gales 2021, Uncertainty Estimation in Autoregressive Structured Prediction, arXiv:2002.07650.
    """
    return nll(logprobs) / len(logprobs) if logprobs else 0.0


def weighted_nll(logprobs: Sequence[float], weighting: Weighting) -> float:
    """Negative log-likelihood with weights that sum to 1.

    Raises ValueError for a weighting that gives a negative weight, or none at all.
    """
    if not logprobs:
        return 0.0
    weights = [weighting(place, len(logprobs), -logprob) for place, logprob in enumerate(logprobs)]
    total = math.fsum(weights)
    if min(weights) < 0 or total <= 0:
        raise ValueError("a weighting gives no token a negative weight, and some token a positive one")
    return -math.fsum(w * logprob for w, logprob in zip(weights, logprobs, strict=True)) / total


def uniform(place: int, count: int, surprisal: float) -> float:
    """Every token alike: `weighted_nll` is then `mean_nll`."""
    return 1.0


def early(place: int, count: int, surprisal: float) -> float:
    """The first tokens more than the last, linearly: answers are often decided where they begin."""
    return float(count - place)


def late(place: int, count: int, surprisal: float) -> float:
    """The last tokens more than the first, linearly."""
    return float(place + 1)


def surprising(place: int, count: int, surprisal: float) -> float:
    """In proportion to the surprisal, so that one unlikely token is not drowned by many certain ones."""
    return surprisal + 1e-9


WEIGHTINGS: Final[dict[str, Weighting]] = {
    "uniform": uniform,
    "early": early,
    "late": late,
    "surprising": surprising,
}


def mean_entropy(entropies: Sequence[float]) -> float:
    """Mean entropy of the token distributions.

    Fomicheva et al. 2020, Unsupervised Quality Estimation for Neural Machine Translation, arXiv:2005.10608.
    """
    return math.fsum(entropies) / len(entropies) if entropies else 0.0


def max_entropy(entropies: Sequence[float]) -> float:
    """Largest entropy of a token distribution.

    Manakul, Liusie and Gales 2023, SelfCheckGPT, arXiv:2303.08896.
    """
    return max(entropies, default=0.0)


def predictive_entropy(samples: Sequence[Sequence[float]], normalised: bool = False) -> float:
    """Monte Carlo estimate of the entropy over answers: the mean negative log-likelihood of samples.

    `normalised` divides each by its tokens. Malinin and Gales 2021, arXiv:2002.07650.
    """
    _need(samples)
    each = mean_nll if normalised else nll
    return math.fsum(map(each, samples)) / len(samples)


def semantic_entropy(samples: Sequence[Sequence[float]], clusters: Sequence[int]) -> float:
    """Entropy over meanings, from length-normalised likelihoods of samples.

    `clusters` names each sample's meaning. A meaning's probability is the sum of its samples' geometric mean
    token probabilities, normalised over all samples. Farquhar et al. 2024, Detecting Hallucinations in Large
    Language Models Using Semantic Entropy, Nature 630, equations 3 to 5.
    """
    _need(samples)
    likelihoods: dict[int, list[float]] = {}
    for sample, cluster in zip(samples, clusters, strict=True):
        likelihoods.setdefault(cluster, []).append(-mean_nll(sample))
    # Sums of exponentials around the largest: answers of probability 1e-400 still compare.
    largest = max(max(each) for each in likelihoods.values())
    masses = [math.fsum(math.exp(one - largest) for one in each) for each in likelihoods.values()]
    return entropy(masses)


def discrete_semantic_entropy(clusters: Sequence[int]) -> float:
    """Entropy of how often each meaning was sampled; needs no probabilities.

    Farquhar et al. 2024, Nature 630, equation 7.
    """
    _need(clusters)
    counts: dict[int, float] = {}
    for cluster in clusters:
        counts[cluster] = counts.get(cluster, 0) + 1
    return entropy(list(counts.values()))


def entropy(masses: Sequence[float]) -> float:
    """Shannon entropy in nats of masses once they are normalised."""
    total = math.fsum(masses)
    shares = [mass / total for mass in masses if mass > 0]
    return max(0.0, -math.fsum(share * math.log(share) for share in shares))  # the first of equals: not -0.0


def token_relevance(similarities: Sequence[float]) -> list[float]:
    """Relevance of each token, normalised to sum 1, from how alike the answer is without it.

    `similarities` are g(x and s, x and s without z_i) in [0, 1]; relevance is 1 - |g|, alike for all tokens
    where none is relevant. Duan et al. 2024, Shifting Attention to Relevance, arXiv:2307.01379, equation 3.
    """
    if not similarities:
        return []
    raw = [1 - abs(similarity) for similarity in similarities]
    total = math.fsum(raw)
    return [one / total for one in raw] if total > 0 else [1 / len(raw)] * len(raw)


def relevance_nll(logprobs: Sequence[float], relevance: Sequence[float]) -> float:
    """Negative log-likelihood weighted by relevance: TokenSAR of one answer; of the greedy, relevance G-NLL.

    Duan et al. 2024, arXiv:2307.01379, equation 5.
    """
    return -math.fsum(w * one for w, one in zip(relevance, logprobs, strict=True))


def sentence_sar(
    nlls: Sequence[float], similarities: Sequence[Sequence[float]], temperature: float = SAR_TEMPERATURE
) -> float:
    """Entropy over samples, each shifted by the probability of samples that say the same.

    `nlls` of the samples (of `nll` it is SentSAR, of `relevance_nll` SAR), `similarities[j][k]` of sample j
    to sample k in [0, 1]. E(s_j) = -log(p(s_j) + R(s_j) / t), R(s_j) = sum over k != j of g(s_j, s_k) p(s_k).
    Duan et al. 2024, arXiv:2307.01379, equations 7 to 9.
    """
    _need(nlls)
    shifted = []
    for j, own in enumerate(nlls):
        terms = [-own]
        for k, other in enumerate(nlls):
            if k != j and similarities[j][k] > 0:
                terms.append(math.log(similarities[j][k] / temperature) - other)
        shifted.append(-_log_sum(terms))
    return math.fsum(shifted) / len(shifted)


def p_true(yes: float, no: float) -> float:
    """One minus the probability the model gives to its answer being true, between the two words it may say.

    `yes` and `no` are their log-probabilities. Kadavath et al. 2022, Language Models (Mostly) Know What They
    Know, arXiv:2207.05221.
    """
    return 1 / (1 + math.exp(min(yes - no, 700.0)))


def _log_sum(terms: Sequence[float]) -> float:
    largest = max(terms)
    return largest + math.log(math.fsum(math.exp(term - largest) for term in terms))


def _need(values: Sequence[object]) -> None:
    if not values:
        raise ValueError("needs at least one sample")
