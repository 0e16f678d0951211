"""Trees that are pruned by cost and complexity: one is grown, each prunes a copy.

Only a tree that was not pruned before answers for others: sums of impurities round
differently where a part is missing.
"""

from skhpo.reuse.base import Family, copy_of, tiny_data


class Prunable(Family):
    """What is grown in full as soon as candidates prune it differently."""

    def leader(self, estimators):
        leader = super().leader(estimators)
        if len({estimator.ccp_alpha for estimator in estimators}) > 1:
            leader.set_params(ccp_alpha=0.0)
        return leader


class Tree(Prunable):
    """A tree and its prunings."""

    shared = ("ccp_alpha",)

    def view(self, leader, estimator):
        if estimator.ccp_alpha == leader.ccp_alpha:
            return copy_of(leader, estimator)
        return pruned(leader, estimator.ccp_alpha)

    def examples(self, cls):
        alphas = (0.01, 0.03, 0.1)
        yield *tiny_data(cls), [cls(ccp_alpha=a, random_state=3) for a in alphas]


def pruned(tree, ccp_alpha):
    """Prune a copy of a tree.

    Parameters
    ----------
    tree : estimator
        Fitted with ``ccp_alpha=0``; it is not changed.
    ccp_alpha : float
        What a leaf costs, in impurity.

    Returns
    -------
    view : estimator
        Fitted.
    """
    view = copy_of(tree, tree, ccp_alpha=ccp_alpha)
    # It builds a new tree, and leaves the old one as it is.
    view._prune_tree()
    return view
