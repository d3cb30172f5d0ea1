// EU DSS's judgement of each PDF: "FILE<tab>INDICATION<tab>INDICATION…", a column for each signature in its order, or
// "FILE<tab>EXCEPTION words". The first argument is a folder with roots/ and crls/ (DER); what DSS cannot read of them
// (certificates on the SM2 curve) is left out.

import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.simplereport.SimpleReport;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.spi.x509.revocation.crl.ExternalResourcesCRLSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.InputStream;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;

public class CheckDss {
    public static void main(String[] arguments) throws Exception {
        CommonTrustedCertificateSource roots = new CommonTrustedCertificateSource();
        for (File each : new File(arguments[0], "roots").listFiles()) {
            try {
                roots.addCertificate(DSSUtils.loadCertificate(each));
            } catch (RuntimeException unknownCurve) {
                continue;
            }
        }
        List<byte[]> lists = new ArrayList<>();
        for (File each : new File(arguments[0], "crls").listFiles()) {
            byte[] list = Files.readAllBytes(each.toPath());
            try {
                new ExternalResourcesCRLSource(new ByteArrayInputStream(list));
                lists.add(list);
            } catch (RuntimeException unknownCurve) {
                continue;
            }
        }
        for (int i = 1; i < arguments.length; i++) {
            StringBuilder line = new StringBuilder(arguments[i]);
            try {
                CommonCertificateVerifier verifier = new CommonCertificateVerifier();
                verifier.setTrustedCertSources(roots);
                verifier.setAIASource(null);
                verifier.setOcspSource(null);
                InputStream[] streams = lists.stream().map(ByteArrayInputStream::new).toArray(InputStream[]::new);
                verifier.setCrlSource(new ExternalResourcesCRLSource(streams));
                SignedDocumentValidator validator =
                        SignedDocumentValidator.fromDocument(new FileDocument(arguments[i]));
                validator.setCertificateVerifier(verifier);
                SimpleReport report = validator.validateDocument().getSimpleReport();
                for (String id : report.getSignatureIdList()) {
                    line.append("\t").append(report.getIndication(id));
                }
            } catch (RuntimeException refused) {
                line.append("\tEXCEPTION ").append(refused.getMessage());
            }
            System.out.println(line);
        }
    }
}
