package docs_test

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

type container struct {
	Env []struct {
		Name, Value string
		ValueFrom   struct {
			SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	}
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	StartupProbe   probe `yaml:"startupProbe"`
	LivenessProbe  probe `yaml:"livenessProbe"`
	ReadinessProbe probe `yaml:"readinessProbe"`
}

// object is what the test compares of any object of deploy/kubernetes.
type object struct {
	Kind string
	Spec struct {
		Selector map[string]any
		Ports    []struct {
			TargetPort string `yaml:"targetPort"`
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []container
			}
		}
	}
}

// TestKubernetesAgreesWithItself: the settings exist, what is selected is there, ports
// and paths are served, and a node has the time to drain.
func TestKubernetesAgreesWithItself(t *testing.T) {
	text, operate := page(t, "../deploy/kubernetes/gotong.yaml"), page(t, "operate.md")
	objects := map[string][]object{}
	for in := yaml.NewDecoder(strings.NewReader(text)); ; {
		var o object
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		objects[o.Kind] = append(objects[o.Kind], o)
	}
	if len(objects["Service"]) != 2 || len(objects["PodDisruptionBudget"]) != 1 || len(objects["StatefulSet"]) != 1 {
		t.Fatal(slices.Sorted(maps.Keys(objects)))
	}
	pods := objects["StatefulSet"][0].Spec.Template
	node := pods.Spec.Containers[0]
	env := map[string]string{}
	for _, e := range node.Env {
		env[e.Name] = e.Value
		if strings.HasPrefix(e.Name, "GOTONG_") && !strings.Contains(operate, "`"+e.Name+"`") {
			t.Errorf("operate.md has no setting %s", e.Name)
		}
		if key := e.ValueFrom.SecretKeyRef.Key; key != "" && !strings.Contains(text, "--from-literal="+key+"=") {
			t.Errorf("the command at the top makes no secret %s", key)
		}
	}
	grace, err := time.ParseDuration(env["GOTONG_SHUTDOWN_GRACE"])
	if err != nil || grace >= time.Duration(pods.Spec.Grace)*time.Second {
		t.Errorf("a node is killed after %d s, and drains for %s: %v", pods.Spec.Grace, grace, err)
	}
	if port := node.Ports[0]; port.Name != "http" || !strings.HasSuffix(env["GOTONG_ADDR"], ":8080") || port.ContainerPort != 8080 {
		t.Errorf("%+v, %s", port, env["GOTONG_ADDR"])
	}
	for kind, list := range objects {
		for _, o := range list {
			for _, port := range o.Spec.Ports {
				if port.TargetPort != "http" {
					t.Errorf("a %s sends to the port %q", kind, port.TargetPort)
				}
			}
			selected, _ := o.Spec.Selector["matchLabels"].(map[string]any)
			if selected == nil {
				selected = o.Spec.Selector
			}
			if len(selected) != 1 || selected["app"] != pods.Metadata.Labels["app"] {
				t.Errorf("a %s selects %v", kind, selected)
			}
		}
	}
	for want, p := range map[string][]probe{"/livez": {node.StartupProbe, node.LivenessProbe}, "/readyz": {node.ReadinessProbe}} {
		for _, p := range p {
			if p.HTTPGet.Path != want || p.HTTPGet.Port != "http" || !strings.Contains(operate, "`"+want+"`") {
				t.Errorf("a probe asks for %+v, want %s", p.HTTPGet, want)
			}
		}
	}
}
