// The REST API as a vCenter since 7.0 Update 2 writes it, below /api, for the session and for tags; the simulator has only the older one.

package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/vmware/govmomi/simulator"
)

const apiPrefix, olderPrefix = "/api/", "/rest/com/vmware/"

// serveAPI asks the older API: there a path names an object "id:...", a query an action "~action=...", and an answer is in a "value".
func serveAPI(service *simulator.Service, response http.ResponseWriter, request *http.Request) {
	older := request.Clone(request.Context())
	steps := strings.Split(strings.TrimPrefix(request.URL.Path, apiPrefix), "/")
	if steps[0] == "session" {
		steps = []string{"cis", "session"}
	}
	if len(steps) == 4 {
		steps[3] = "id:" + steps[3]
	}
	older.URL.Path = olderPrefix + strings.Join(steps, "/")
	older.URL.RawQuery = strings.Replace(request.URL.RawQuery, "action=", "~action=", 1)
	answer := httptest.NewRecorder()
	service.ServeMux.ServeHTTP(answer, older)
	content := answer.Body.Bytes()
	var wrapped struct{ Value json.RawMessage }
	if json.Unmarshal(content, &wrapped) == nil && wrapped.Value != nil {
		content = wrapped.Value
	}
	status := answer.Code
	if steps[len(steps)-1] == "session" && request.Method == http.MethodPost && status == http.StatusOK {
		status = http.StatusCreated
	}
	response.WriteHeader(status)
	_, _ = bytes.NewReader(content).WriteTo(response)
}
