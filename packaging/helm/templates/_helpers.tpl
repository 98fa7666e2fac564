{{- define "connector.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "connector.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "connector.labels" -}}
{{ include "connector.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "connector.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "connector.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "connector.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{- define "connector.auditClaim" -}}
{{ .Values.audit.existingClaim | default (printf "%s-audit" (include "connector.name" .)) }}
{{- end }}

{{/* The variables of the program: of each value that is set, one. */}}
{{- define "connector.env" -}}
{{- $directory := "/etc/buildkite-connector" -}}
- name: BUILDKITE_CONNECTOR_LISTEN
  value: {{ printf "%s:50051" .Values.listenHost | quote }}
- name: BUILDKITE_CONNECTOR_METRICS_LISTEN
  value: {{ printf "%s:%d" .Values.listenHost (int .Values.monitoring.port) | quote }}
- name: BUILDKITE_CONNECTOR_INSECURE_METRICS_LISTEN
  value: "true"
- name: BUILDKITE_CONNECTOR_DRAIN
  value: {{ printf "%ds" (int .Values.drainSeconds) | quote }}
{{- with .Values.buildkite.organization }}
- name: BUILDKITE_ORGANIZATION_SLUG
  value: {{ . | quote }}
{{- end }}
{{- if .Values.buildkite.tokenSecret.name }}
- name: BUILDKITE_API_TOKEN_FILE
  value: {{ printf "%s/token/%s" $directory .Values.buildkite.tokenSecret.key | quote }}
{{- end }}
{{- if .Values.config }}
- name: BUILDKITE_CONNECTOR_CONFIG
  value: {{ $directory }}/config/connector.toml
{{- end }}
{{- if .Values.tls.enabled }}
- name: BUILDKITE_CONNECTOR_TLS_CERT
  value: {{ $directory }}/tls/tls.crt
- name: BUILDKITE_CONNECTOR_TLS_KEY
  value: {{ $directory }}/tls/tls.key
{{- if .Values.tls.clientCASecret }}
- name: BUILDKITE_CONNECTOR_TLS_CLIENT_CA
  value: {{ printf "%s/client-ca/%s" $directory .Values.tls.clientCAKey | quote }}
{{- end }}
{{- else if .Values.tls.acknowledgeInsecure }}
- name: BUILDKITE_CONNECTOR_INSECURE_LISTEN
  value: "true"
{{- end }}
{{- if .Values.callers.secret }}
- name: BUILDKITE_CONNECTOR_CALLERS
  value: {{ printf "%s/callers/%s" $directory .Values.callers.key | quote }}
{{- end }}
{{- if .Values.audit.enabled }}
- name: BUILDKITE_CONNECTOR_AUDIT_FILE
  value: /var/lib/buildkite-connector/audit.jsonl
{{- end }}
{{- if .Values.authorities.configMap }}
- name: SSL_CERT_FILE
  value: {{ printf "%s/authorities/%s" $directory .Values.authorities.key | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ if eq $name "apiUrl" }}BUILDKITE_REST_URL{{ else }}BUILDKITE_CONNECTOR_{{ $name | snakecase | upper }}{{ end }}
  value: {{ if kindIs "slice" $value }}{{ join "," $value | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- range .Values.env }}
- name: {{ .name }}
{{- if .secret }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- else }}
  value: {{ .value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whole directories, as a file that is mounted by itself keeps its first content for ever. */}}
{{- define "connector.mounts" -}}
{{- $directory := "/etc/buildkite-connector" -}}
{{- if .Values.buildkite.tokenSecret.name }}
- {name: token, mountPath: {{ $directory }}/token, readOnly: true}
{{- end }}
{{- if .Values.config }}
- {name: config, mountPath: {{ $directory }}/config, readOnly: true}
{{- end }}
{{- range $index, $secret := .Values.configSecrets }}
- {name: secret-{{ $index }}, mountPath: {{ $directory }}/secrets/{{ $secret }}, readOnly: true}
{{- end }}
{{- if .Values.tls.enabled }}
- {name: tls, mountPath: {{ $directory }}/tls, readOnly: true}
{{- if .Values.tls.clientCASecret }}
- {name: client-ca, mountPath: {{ $directory }}/client-ca, readOnly: true}
{{- end }}
{{- end }}
{{- if .Values.callers.secret }}
- {name: callers, mountPath: {{ $directory }}/callers, readOnly: true}
{{- end }}
{{- if .Values.authorities.configMap }}
- {name: authorities, mountPath: {{ $directory }}/authorities, readOnly: true}
{{- end }}
{{- if .Values.audit.enabled }}
- {name: audit, mountPath: /var/lib/buildkite-connector}
{{- end }}
{{- end }}

{{- define "connector.volumes" -}}
{{- if .Values.buildkite.tokenSecret.name }}
- name: token
  secret: {secretName: {{ .Values.buildkite.tokenSecret.name }}, defaultMode: 0440}
{{- end }}
{{- if .Values.config }}
- name: config
  configMap: {name: {{ include "connector.name" . }}}
{{- end }}
{{- range $index, $secret := .Values.configSecrets }}
- name: secret-{{ $index }}
  secret: {secretName: {{ $secret }}, defaultMode: 0440}
{{- end }}
{{- if .Values.tls.enabled }}
- name: tls
  secret: {secretName: {{ .Values.tls.secret }}, defaultMode: 0440}
{{- if .Values.tls.clientCASecret }}
- name: client-ca
  secret: {secretName: {{ .Values.tls.clientCASecret }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- if .Values.callers.secret }}
- name: callers
  secret: {secretName: {{ .Values.callers.secret }}, defaultMode: 0440}
{{- end }}
{{- if .Values.authorities.configMap }}
- name: authorities
  configMap: {name: {{ .Values.authorities.configMap }}}
{{- end }}
{{- if .Values.audit.enabled }}
- name: audit
  persistentVolumeClaim: {claimName: {{ include "connector.auditClaim" . }}}
{{- end }}
{{- end }}
