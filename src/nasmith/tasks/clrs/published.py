"""Published accuracies of the standard network, for comparison: a constant of the literature, measured by nobody here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["PUBLISHED"]

PUBLISHED: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "activity_selector": (95.18, 0.45),
        "articulation_points": (88.32, 2.01),
        "bellman_ford": (97.39, 0.19),
        "bfs": (99.73, 0.04),
        "binary_search": (77.58, 2.35),
        "bridges": (93.99, 2.07),
        "bubble_sort": (67.68, 5.50),
        "dag_shortest_paths": (98.19, 0.30),
        "dfs": (47.79, 4.19),
        "dijkstra": (96.05, 0.60),
        "find_maximum_subarray_kadane": (76.36, 0.43),
        "floyd_warshall": (48.52, 1.04),
        "graham_scan": (93.62, 0.91),
        "heapsort": (31.04, 5.82),
        "insertion_sort": (78.14, 4.64),
        "jarvis_march": (91.01, 1.30),
        "kmp_matcher": (19.51, 4.57),
        "lcs_length": (80.51, 1.84),
        "matrix_chain_order": (91.68, 0.59),
        "minimum": (97.78, 0.55),
        "mst_kruskal": (89.80, 0.77),
        "mst_prim": (86.39, 1.33),
        "naive_string_matcher": (78.67, 4.99),
        "optimal_bst": (73.77, 1.48),
        "quickselect": (0.47, 0.25),
        "quicksort": (64.64, 5.12),
        "segments_intersect": (97.64, 0.09),
        "strongly_connected_components": (43.43, 3.15),
        "task_scheduling": (87.25, 0.35),
        "topological_sort": (87.27, 2.67),
    }
)
"""Out-of-distribution accuracy (length 64) of the single-task Triplet-GMPNN, percent: (mean, standard deviation).

Ibarz et al. 2022, "A Generalist Neural Algorithmic Learner", arXiv 2209.11142; their mean over the 30 is 75.98.
"""
