from verdant.core.loops import PureHubLoops, PureWatchLoops, deliver_pure, keep_chunks_pure

class HubLoops(PureHubLoops): ...
class WatchLoops(PureWatchLoops): ...

deliver = deliver_pure
keep_chunks = keep_chunks_pure
