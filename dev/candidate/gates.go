package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// gatesReport is the part of the report of gotong gates that is used.
type gatesReport struct {
	Server  string `json:"server"`
	Verdict string `json:"verdict"`
	Gates   []struct {
		Gate     string `json:"gate"`
		Verdict  string `json:"verdict"`
		Findings []struct {
			Verdict string `json:"verdict"`
			Seen    string `json:"seen"`
			Way     string `json:"way_out"`
		} `json:"findings"`
	} `json:"gates"`
}

// gates runs `gotong gates` against a fresh engine of this line.
func gates(ctx context.Context, binary, scratch, line string) result {
	r := result{command: "gotong gates --json --store surreal://… # on dev/surreal/surreal --engine " + line}
	port, stop, err := engine(ctx, line, filepath.Join(scratch, "gates"+line))
	if err != nil {
		r.why = err.Error()
		return r
	}
	defer stop()
	cmd := exec.CommandContext(ctx, binary, "gates", "--json")
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOTONG_STORE=surreal://root:root@127.0.0.1:%d/candidate/main", port))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, ended := cmd.Output()
	var report gatesReport
	if err := json.Unmarshal(out, &report); err != nil {
		r.why = fmt.Sprintf("%v, %v\n%s", ended, err, errs.String())
		return r
	}
	r.judge(&report, ended == nil)
	return r
}

// postgresGates has a test run `gotong gates` against a fresh server, whose report it
// reads.
func postgresGates(ctx context.Context, scratch string) result {
	r := goTest{
		pkg: "./cmd/gotong", run: "^TestGatesReports$/^postgresql-15$", flags: []string{"-gates-reports", scratch},
	}.do(ctx)
	if !r.ok {
		return r
	}
	var report gatesReport
	out, err := os.ReadFile(filepath.Join(scratch, "postgresql-15.json")) //nolint:gosec // a file of ours
	if err = errors.Join(err, json.Unmarshal(out, &report)); err != nil {
		return result{command: r.command, why: err.Error()}
	}
	r.notes = nil
	r.judge(&report, true)
	return r
}

// judge takes the figures and faults of a report.
func (r *result) judge(report *gatesReport, ended bool) {
	counts := map[string]int{}
	for _, g := range report.Gates {
		counts[g.Verdict]++
		for _, f := range g.Findings {
			if f.Verdict != "go" {
				r.notes = append(r.notes, fmt.Sprintf("%s, %s: %s", g.Gate, f.Verdict, f.Seen))
			}
			if f.Verdict == "no-go" {
				r.why += fmt.Sprintf("%s: %s\n    %s\n", g.Gate, f.Seen, f.Way)
			}
		}
	}
	r.ok = ended && report.Verdict == "go"
	r.figures = fmt.Sprintf("%s: %d go, %d warnings, %d not checked, %d no-go", report.Server,
		counts["go"], counts["warning"], counts["not checked"], counts["no-go"])
}

// engine starts the bridge on a fresh folder; stop ends it.
func engine(ctx context.Context, line, folder string) (port int, stop func(), err error) {
	cmd := exec.CommandContext(ctx, "dev/surreal/surreal", "--engine", line, "--url", "rocksdb://"+folder) //nolint:gosec // fixed words
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, nil, err
	}
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	stop = func() {
		_ = in.Close() // which ends it
		_ = cmd.Wait()
	}
	text, err := bufio.NewReader(out).ReadBytes('\n')
	var report struct {
		Port int `json:"port"`
	}
	if err = errors.Join(err, json.Unmarshal(text, &report)); err != nil {
		stop()
		return 0, nil, fmt.Errorf("the engine did not start (make install): %w", err)
	}
	return report.Port, stop, nil
}
