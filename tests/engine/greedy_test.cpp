// The house model's greedy continuations against transformers': tests/golden/nano/greedy.json, made by
// tools/nano/make_greedy.py. Nothing is masked and generation goes on past the end mark, as there.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "bantam/engine.h"
#include "base/json.h"
#include "engine/nano.h"

namespace bantam {
namespace {

std::vector<int32_t> ids_of(const JsonValue* list) {
  std::vector<int32_t> out;
  for (const JsonValue& item : list->items()) out.push_back(static_cast<int32_t>(*item.as_int64()));
  return out;
}

TEST(Greedy, ContinuationsEqualTheReference) {
  const std::string path = std::string(BANTAM_SOURCE_DIR) + "/tests/golden/nano/greedy.json";
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << "NO GOLDEN FILE: " << path << " is not there; tools/nano/make_greedy.py writes it";
  }
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  auto golden = parse_json(text.str(), path);
  ASSERT_TRUE(golden.ok()) << golden.status().message();

  EngineOptions options;
  options.numerics = NumericsMode::kExact;
  options.kv = KvType::kF32;
  options.context_tok = 2048;
  auto engine = Engine::load(ModelSource{.path = engine::nano_folder(), .files = {}}, options);
  ASSERT_TRUE(engine.ok()) << engine.status().message();
  const std::vector<JsonValue>& cases = golden->find("cases")->items();
  ASSERT_GE(cases.size(), 4u);
  for (const JsonValue& one : cases) {
    const std::vector<int32_t> prompt = ids_of(one.find("ids")), want = ids_of(one.find("continuation"));
    EXPECT_EQ(want.size(), 256u);
    auto session = engine->new_session();
    ASSERT_TRUE(session.ok());
    ASSERT_TRUE(session->append(prompt).ok());
    std::vector<int32_t> got;
    while (got.size() < want.size()) {
      got.push_back(session->sample({.temperature = 0}, 0).id);
      if (got.back() != want[got.size() - 1]) break;
      ASSERT_TRUE(session->append(std::span(&got.back(), 1)).ok());
    }
    EXPECT_EQ(got, want) << one.find("name")->as_string() << ": differs at token " << got.size();
  }
}

}  // namespace
}  // namespace bantam
