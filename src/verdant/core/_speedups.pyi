from verdant.core.loops import PureWatchLoops, deliver_pure

class WatchLoops(PureWatchLoops): ...

deliver = deliver_pure
