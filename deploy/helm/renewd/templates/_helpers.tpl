{{- define "renewd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "renewd.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "renewd.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "renewd.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "renewd.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "renewd.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "renewd.selector" -}}
app.kubernetes.io/name: {{ include "renewd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "renewd.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "renewd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "renewd.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* What `config` says, as JSON. */}}
{{- define "renewd.config" -}}
{{- $config := fromYaml .Values.config -}}
{{- if hasKey $config "Error" -}}
{{- fail (printf "config is not YAML: %s" (get $config "Error")) -}}
{{- end -}}
{{- if not (hasKey $config "accounts") -}}
{{- fail "config has no `accounts:`; give renewd's own configuration, as in --set-file config=renewd.yaml" -}}
{{- end -}}
{{- toJson $config -}}
{{- end -}}

{{/* The Secrets that are written, as JSON: `found`, a list of namespace, name, delete. */}}
{{- define "renewd.secrets" -}}
{{- $found := list -}}
{{- $main := include "renewd.config" . | fromJson -}}
{{- $documents := list $main -}}
{{- range $name, $text := .Values.files -}}
{{- if or (hasSuffix ".yaml" $name) (hasSuffix ".yml" $name) -}}
{{- $document := fromYaml $text -}}
{{- if hasKey $document "Error" -}}
{{- fail (printf "files.%s is not YAML: %s" $name (get $document "Error")) -}}
{{- end -}}
{{- $documents = append $documents $document -}}
{{- end -}}
{{- end -}}
{{- $usual := dig "defaults" "sinks" list $main -}}
{{- range $document := $documents -}}
{{- range $account := (get $document "accounts" | default dict) -}}
{{- $sinks := $usual -}}
{{- if hasKey $account "sinks" -}}{{- $sinks = get $account "sinks" -}}{{- end -}}
{{- range $sink := $sinks -}}
{{- with get $sink "kubernetes" -}}
{{- $delete := eq (dig "on_remove" "keep" .) "delete" -}}
{{- $found = append $found (dict "namespace" (default $.Release.Namespace .namespace) "name" .secret "delete" $delete) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson (dict "found" $found) -}}
{{- end -}}

{{/* The port of health and metrics; empty where they are off or the pod's own. */}}
{{- define "renewd.port" -}}
{{- $agent := get (include "renewd.config" . | fromJson) "agent" | default dict -}}
{{- $listen := get $agent "listen" | default "" -}}
{{- if and (kindIs "string" $listen) (regexMatch ":[0-9]+$" $listen) (not (regexMatch "^(127[.]|localhost:|\\[::1\\])" $listen)) -}}
{{- regexFind "[0-9]+$" $listen -}}
{{- else -}}
{{- $socket := get $agent "socket" -}}
{{- if and (hasKey $agent "socket") (or (eq (toString $socket) "false") (eq (toString $socket) "off")) -}}
{{- fail "config: the probes need the agent's socket, or an agent.listen that is not the pod's own loopback (0.0.0.0:9478)" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the agent's pod and the test's have in common. */}}
{{- define "renewd.mounts" -}}
- { name: config, mountPath: /etc/renewd, readOnly: true }
{{- if .Values.existingSecret }}
- { name: secrets, mountPath: /run/secrets/renewd, readOnly: true }
{{- end }}
- { name: state, mountPath: /var/lib/renewd }
- { name: run, mountPath: /run/renewd }
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "renewd.volumes" -}}
- { name: config, configMap: { name: {{ include "renewd.fullname" . }} } }
{{- with .Values.existingSecret }}
- { name: secrets, secret: { secretName: {{ . }}, defaultMode: 0440 } }
{{- end }}
- { name: run, emptyDir: { medium: Memory, sizeLimit: 1Mi } }
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "renewd.env" -}}
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
