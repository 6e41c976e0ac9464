"""kfstate: what state is each WeCom KF session in, since when, and why."""

__all__: list[str] = []
