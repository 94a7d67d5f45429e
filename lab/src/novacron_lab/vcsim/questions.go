// Questions that a VM waits on, such as "was it moved or copied?": a test asks one, and AnswerVM takes the answer. govmomi's simulator has
// neither. vSphere API reference: VirtualMachine.AnswerVM, VirtualMachineRuntimeInfo.question.

package main

import (
	"encoding/json"
	"net/http"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// askQuestion lets a VM, named by its id, wait on a question: POST /questions {"vm": "vm-57", "id": "1", "text": ..., "choices": [...]}.
func askQuestion(service *simulator.Service, response http.ResponseWriter, request *http.Request) {
	order := struct {
		VM, ID, Text string
		Choices      []string
	}{}
	if err := json.NewDecoder(request.Body).Decode(&order); err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return
	}
	ctx := service.Context
	vm, is := ctx.Map.Get(types.ManagedObjectReference{Type: "VirtualMachine", Value: order.VM}).(*simulator.VirtualMachine)
	if !is {
		http.Error(response, "no such VM", http.StatusNotFound)
		return
	}
	question := types.VirtualMachineQuestionInfo{Id: order.ID, Text: order.Text}
	for i, label := range order.Choices {
		question.Choice.ChoiceInfo = append(question.Choice.ChoiceInfo, &types.ElementDescription{
			Description: types.Description{Label: label, Summary: label}, Key: string(rune('0' + i)),
		})
	}
	ctx.WithLock(vm, func() {
		ctx.Update(vm, []types.PropertyChange{{Name: "runtime.question", Val: &question}})
	})
}

func (m *machine) AnswerVM(_ *simulator.Context, req *types.AnswerVM) soap.HasFault {
	body := new(methods.AnswerVMBody)
	asked := m.Runtime.Question
	known := false
	if asked != nil && asked.Id == req.QuestionId {
		for _, choice := range asked.Choice.ChoiceInfo {
			known = known || choice.GetElementDescription().Key == req.AnswerChoice
		}
	}
	if !known {
		body.Fault_ = simulator.Fault("", &types.InvalidArgument{InvalidProperty: "questionId"})
		return body
	}
	m.Runtime.Question = nil // the simulator can't tell its collectors of a property that has gone
	body.Res = new(types.AnswerVMResponse)
	return body
}
