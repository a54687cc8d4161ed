package httpapi_test

import (
	"testing"

	"gotong.dev/gotong/internal/edgepod"
)

func TestContractsAreServed(t *testing.T) {
	ani := newWorld(t).signUp("ani")
	list := ani.do("GET", "/v1/edge-pod/contracts", nil).want(200).list()
	if len(list) != len(edgepod.Contracts) {
		t.Fatalf("got %d contracts", len(list))
	}
	for i, c := range list {
		request, _ := c["request"].(map[string]any)
		response, _ := c["response"].(map[string]any)
		if c["id"] != edgepod.Contracts[i].ID || request["additionalProperties"] != false || response["additionalProperties"] != false {
			t.Errorf("contract %d: %v", i, c["id"])
		}
	}
}
