// How many threads tensor operations use. Called once, before the first of them.
#pragma once

namespace tutti::engine {

void SetThreads(int threads);

}  // namespace tutti::engine
