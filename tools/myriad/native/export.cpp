// Reads a network, lets the MYRIAD plugin compile it without a device, and writes the blob.
//
// usage: export PLUGINS.xml MODEL.onnx OUT.blob [KEY=VALUE ...]
// exit status: 0 compiled, 1 refused (the last line of stderr says why), 2 wrong arguments.

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <string>

// The wheel ships libraries without headers. These are the few symbols of the 2021.4.2 interface that are called here. The
// classes only reserve memory, more than the real ones need: the library fills it, and nobody destroys what it made.
namespace InferenceEngine {

struct Reserved {
    Reserved() = default;
    ~Reserved() {}  // not trivial, as in the library: so results are returned through memory
    alignas(16) unsigned char bytes[1024];
};

class CNNNetwork : Reserved {};

class ExecutableNetwork : Reserved {
public:
    void Export(const std::string& file);
};

class Core : Reserved {
public:
    explicit Core(const std::string& plugins);
    CNNNetwork ReadNetwork(const std::string& model, const std::string& weights) const;
    ExecutableNetwork LoadNetwork(
        const CNNNetwork& network, const std::string& device, const std::map<std::string, std::string>& settings);
};

}  // namespace InferenceEngine

namespace {

using Settings = std::map<std::string, std::string>;

bool read_settings(int count, char** texts, Settings& settings) {
    for (int i = 0; i < count; ++i) {
        const std::string text = texts[i];
        const auto equals = text.find('=');
        if (equals == std::string::npos) {
            return false;
        }
        settings[text.substr(0, equals)] = text.substr(equals + 1);
    }
    return true;
}

void compile(const std::string& plugins, const std::string& model, const std::string& blob, const Settings& settings) {
    InferenceEngine::Core core(plugins);
    const InferenceEngine::CNNNetwork network = core.ReadNetwork(model, "");
    core.LoadNetwork(network, "MYRIAD", settings).Export(blob);
}

[[noreturn]] void leave(int status) {
    std::fflush(nullptr);
    std::_Exit(status);  // the plugin's threads wait for a device: do not join them
}

}  // namespace

int main(int count, char** arguments) {
    // Named, the platform needs no device to be asked for it.
    Settings settings = {{"VPU_MYRIAD_PLATFORM", "VPU_MYRIAD_2480"}, {"MYRIAD_DEVICE_CONNECT_TIMEOUT", "1"}};
    if (count < 4 || !read_settings(count - 4, arguments + 4, settings)) {
        std::fprintf(stderr, "usage: export PLUGINS.xml MODEL.onnx OUT.blob [KEY=VALUE ...]\n");
        return 2;
    }
    try {
        compile(arguments[1], arguments[2], arguments[3], settings);
    } catch (const std::exception& refusal) {
        std::fprintf(stderr, "%s\n", refusal.what());
        leave(1);
    }
    leave(0);
}
