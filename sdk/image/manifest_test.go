package image_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
)

// fullManifest sets every field.
func fullManifest() image.Manifest {
	return image.Manifest{
		Name: "demo", SecurityVersion: 7, Debug: true, Memory: 1 << 30, LaneMemory: 1 << 26, Lanes: 3, Workers: 5,
		Attach: []string{"owner", "uid:0", "gid:27"}, Services: []string{"example.com/demo.Clock", "demo.Notifier"},
	}
}

func TestValidate(t *testing.T) {
	long := strings.Repeat("a", 65)
	with := func(change func(m *image.Manifest)) image.Manifest {
		m := fullManifest()
		change(&m)
		return m
	}
	named := func(name string) image.Manifest { return with(func(m *image.Manifest) { m.Name = name }) }
	attached := func(s ...string) image.Manifest { return with(func(m *image.Manifest) { m.Attach = s }) }
	served := func(s ...string) image.Manifest { return with(func(m *image.Manifest) { m.Services = s }) }
	many := make([]string, 65)
	for i := range many {
		many[i] = fmt.Sprintf("uid:%d", i)
	}
	for _, c := range []struct {
		name string
		m    image.Manifest
		want []string // the faults; none if valid
	}{
		{"default", image.DefaultManifest("a"), nil},
		{"full", fullManifest(), nil},
		{"longest name", named(long[1:]), nil},
		{"dotted name", named("a1.b-c_d2"), nil},
		{"no name", named(""), []string{"name: missing"}},
		{"long name", named(long), []string{"name: longer than 64 characters"}},
		{"digit first", named("1a"), []string{"name: "}},
		{"upper case", named("aB"), []string{"name: "}},
		{"path", named("a/b"), []string{"name: "}},
		{"dot dot", named("a..b"), []string{"name: "}},
		{"ends with dash", named("a-"), []string{`name: "a-" ends with "-"`}},
		{"not ASCII", named("aé"), []string{"name: "}},
		{"NUL", named("a\x00"), []string{"name: "}},
		{"little memory", with(func(m *image.Manifest) { m.Memory = 16<<20 - 4096 }), []string{"memory: "}},
		{"much memory", with(func(m *image.Manifest) { m.Memory = 1 << 41 }), []string{"memory: "}},
		{"odd memory", with(func(m *image.Manifest) { m.Memory = 1<<30 + 1 }), []string{"memory: 1073741825 is not a multiple of 4096"}},
		{"little lane", with(func(m *image.Manifest) { m.LaneMemory = 1 }), []string{"lane_memory: 1 is not between", "lane_memory: 1 is not a multiple"}},
		{"huge lane", with(func(m *image.Manifest) { m.LaneMemory = 1 << 63 }), []string{"lane_memory: "}},
		{"negative lanes", with(func(m *image.Manifest) { m.Lanes = -1 }), []string{"lanes: -1 is not between 1 and 4096"}},
		{"many workers", with(func(m *image.Manifest) { m.Workers = 4097 }), []string{"workers: "}},
		{"attach", attached("owner", "uid:0", "gid:4294967295"), nil},
		{"attach number", attached("uid:4294967296"), []string{"attach: "}},
		{"attach spelling", attached("uid:00"), []string{"attach: "}},
		{"attach sign", attached("uid:+1"), []string{"attach: "}},
		{"attach word", attached("root", ""), []string{"attach: ", "attach: "}},
		{"attach twice", attached("uid:1", "uid:1"), []string{`attach: "uid:1" is given twice`}},
		{"attach many", attached(many...), []string{"attach: more than 64 entries"}},
		{"services", served("demo.Clock", "example.com/a-b/v2/x_y.Z1", "gopkg.in/yaml.v3.Foo", "example.com/c++/v2.Foo"), nil},
		{"services all", served("*"), nil},
		{"services stream", served("stream:web-1.a"), nil},
		{"services no stream", served("stream:", "stream:Web"), []string{"services: ", "services: "}},
		{"services all and one", served("*", "demo.Clock"), []string{`services: "*" does not stand alone`}},
		{"services pattern", served("demo.*", "example.com/*"), []string{"services: ", "services: "}},
		{"services empty", served(""), []string{"services: "}},
		{"services no dot", served("Clock"), []string{"services: "}},
		{"services no interface", served("demo."), []string{"services: "}},
		{"services no package", served(".Clock"), []string{"services: "}},
		{"services dot in path", served("example.com/Clock"), []string{"services: "}},
		{"services quote", served(`demo".Clock`), []string{"services: "}},
		{"services long", served("a." + strings.Repeat("x", 254)), []string{"services: "}},
		{"all at once", image.Manifest{Name: "X", Lanes: -1, Attach: []string{"x"}}, []string{
			"name: ", "memory: ", "lane_memory: ", "lanes: ", "workers: ", "attach: ",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkFaults(t, c.m.Validate(), c.want)
		})
	}
}

// checkFaults compares a joined error with the beginnings of its lines.
func checkFaults(t *testing.T, err error, want []string) {
	t.Helper()
	var lines []string
	if err != nil {
		lines = strings.Split(err.Error(), "\n")
	}
	if len(lines) != len(want) {
		t.Fatalf("%d faults instead of %d: %q", len(lines), len(want), lines)
	}
	for i, w := range want {
		if !strings.HasPrefix(lines[i], w) {
			t.Errorf("fault %q, want %q", lines[i], w)
		}
	}
}

func TestParseManifest(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"line 1: unexpected EOF"}},
		{"no object", `["a"]`, []string{"not a JSON object"}},
		{"null", `null`, []string{"not a JSON object"}},
		{"cut", "{\n\"name\":\n", []string{"line 2: unexpected EOF"}},
		{"syntax", "{\n\"name\": \"x\"\n\"lanes\": 1}", []string{"line 3: invalid character"}},
		{"trailing", `{} {}`, []string{"something follows"}},
		{"trailing garbage", `{} x`, []string{"something follows"}},
		{"all at once", `{"nmae":"x","lanes":"a","lanes":1,"debug":null,"attach":"owner","services":[1],"security_version":-1,"workers":1.5}`, []string{
			`"nmae": unknown field`,
			`"lanes": string where a value of type int belongs`,
			`"lanes": given twice`,
			`"debug": null is no value`,
			`"attach": string where`,
			`"services": number where`,
			`"security_version": number -1 where`,
			`"workers": number 1.5 where`,
		}},
		{"case matters", `{"Name":"x"}`, []string{`"Name": unknown field`}},
		{"too large", `{"name":"` + strings.Repeat("x", image.MaxManifest) + `"}`, []string{"larger than 65536 bytes"}},
		{"deep", `{"attach":` + strings.Repeat("[", 20000) + `}`, []string{"line 1: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := image.ParseManifest([]byte(c.text))
			checkFaults(t, err, c.want)
			if !reflect.DeepEqual(m, image.Manifest{}) {
				t.Errorf("manifest %+v beside an error", m)
			}
		})
	}
	t.Run("good", func(t *testing.T) {
		m, err := image.ParseManifest([]byte(`
			{ "workers": 5, "name": "demo", "security_version": 7, "debug": true, "memory": 1073741824,
			  "lane_memory": 67108864, "lanes": 3,
			  "attach": ["owner", "uid:0", "gid:27"], "services": ["example.com/demo.Clock", "demo.Notifier"] }
		`))
		if err != nil || !reflect.DeepEqual(m, fullManifest()) {
			t.Errorf("manifest %+v, %v", m, err)
		}
	})
	t.Run("defaults", func(t *testing.T) {
		m, err := image.ParseManifest([]byte(`{"name": "demo", "security_version": 1}`))
		if err != nil || !reflect.DeepEqual(m.WithDefaults(), image.DefaultManifest("demo")) {
			t.Errorf("manifest %+v, %v", m, err)
		}
	})
}
