// A real process with a real file, ended by kill -9 again and again while it teaches and forgets: nothing that it said
// to be done is lost, and the state is bit for bit that of a life without kills. (What the system holds back of a file
// survives a kill; learner_cut_test.cpp takes that away too.)
#include <cstdio>

#ifdef _WIN32
int main() {
  std::puts("not run: Windows has no kill -9; its process is ended in tests/runtime/test_learner_store.py");
}
#else
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/check.h"
#include "support/small_learner.h"

using namespace onebit;
using namespace onebit::test;
using learner::Learner;

namespace {

constexpr int kKills = 50;
constexpr uint32_t kLongest = 100000;

void step(Learner& learner, uint32_t number) {
  if (number % 5 == 4) return learner.forget("cat");
  CHECK(teach_lesson(learner, number, "ant", number % 5 == 1 ? "cat" : "bee"), "lesson %u", number);
}

Learner open(const std::string& path) { return Learner::open(store::open_file(path), small_backbone().hash); }

// Runs until it is killed; says the number of each step that is done.
[[noreturn]] void live(const std::string& path, uint32_t first, int out) {
  Learner learner = open(path);
  for (uint32_t number = first; number < kLongest; ++number) {
    step(learner, number);
    if (write(out, &number, sizeof number) != sizeof number) break;
  }
  _exit(1);
}

}  // namespace

int main() {
  const std::string path = "learner_kill_test_" + std::to_string(getpid()) + ".state";
  {
    Learner::create(path, small_backbone(), kSmall);
  }
  Medium medium;  // the calm life
  medium.durable.resize(Learner::bytes(small_backbone(), kSmall));
  Learner calm = Learner::create(std::make_unique<FaultyFile>(medium), small_backbone(), kSmall);

  std::mt19937 random(std::random_device{}());
  uint32_t next = 0, in_between = 0;
  for (int i = 0; i < kKills; ++i) {
    int ends[2];
    CHECK(pipe(ends) == 0, "no pipe");
    const pid_t child = fork();
    CHECK(child >= 0, "no process");
    if (child == 0) live(path, next, ends[1]);
    close(ends[1]);
    uint32_t number = 0, said = next;
    CHECK(read(ends[0], &number, sizeof number) == sizeof number, "the process ended by itself");
    said = number + 1;
    usleep(static_cast<useconds_t>(random() % 16000));
    kill(child, SIGKILL);
    while (read(ends[0], &number, sizeof number) == sizeof number) said = number + 1;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the process ended by itself");

    for (; next < said; ++next) step(calm, next);
    Learner survivor = open(path);
    CHECK(survivor.store().found().damaged == 0, "kill %d: damaged", i);
    in_between += survivor.store().found().unfinished;
    if (payload_in(survivor.store()) != payload_in(calm.store())) step(calm, next++);
    CHECK(payload_in(survivor.store()) == payload_in(calm.store()), "kill %d: neither step %u nor the next", i, said);
  }
  std::printf("%d kills in %u steps, %u of them inside a commit\n", kKills, next, in_between);
  std::remove(path.c_str());
}
#endif
